"""The entities of many texts: a row an entity; of a text without any a row that says so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from zoo.cli.predict.many.table import Row, rounded
from zoo.errors import ZooError

COLUMNS = ["entities", "entity", "kind", "start", "end", "probability"]
BATCH = 32


def columns(model: Any, top: int | None) -> list[str]:
    """How many entities a text has, and of each its text, its kind, where it stands and the least share of its words."""
    from zoo.inspect.tags import check_tags

    if top is not None:
        raise ZooError(f"--top {top} is for classes and tokens, and entities are all told; leave it out.")
    check_tags(model)
    return COLUMNS


def answers(model: Any, texts: Sequence[str], top: int | None) -> list[list[Row]]:
    """The rows of each text."""
    from zoo.inspect.tags import entities_of, logits_of, rows_of

    rows = [rows_of(model, text) for text in texts]
    flat, logits = [row for each in rows for row in each], list[Any]()
    for first in range(0, len(flat), BATCH):
        logits += logits_of(model, flat[first : first + BATCH])
    if not all(each.isfinite().all() for each in logits):
        raise ZooError("the model's answer is NaN or infinite")
    left, said = iter(logits), list[list[Row]]()
    for text, its in zip(texts, rows, strict=True):
        found = entities_of(model, text, its, list(islice(left, len(its))))
        told = [(len(found), each.text, each.kind, each.start, each.end, rounded(each.share)) for each in found]
        said.append([dict(zip(COLUMNS, row, strict=True)) for row in told] or [{"entities": 0}])
    return said
