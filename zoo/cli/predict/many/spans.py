"""Many questions: a line of a .jsonl is one with its text, {"question": "...", "context": "..."}."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.cli.predict.many import Entry, found
from zoo.cli.predict.many.table import Row, ranked, rounded
from zoo.cli.predict.many.texts import LONGEST, lines
from zoo.cli.predict.spans import card_of
from zoo.cli.predict.texts import check
from zoo.errors import ZooError

BATCH = 1  # a text may be long
TOP = 1
ENDS = (".jsonl",)
FORM = '{"question": "...", "context": "..."}'


def files(source: str) -> list[Path]:
    """Raises: ZooError for what is no .jsonl, and no folder with such."""
    if not (these := found(source, ENDS)):
        raise ZooError(f"{source} is not there, or no .jsonl file or folder of such: --to takes {FORM} a line.")
    return these


def entries(model: Any, file: Path, run: str) -> Iterator[Entry]:
    """A question a line, with its text and how the model reads."""
    from zoo.inspect.answers import reading

    check(model, str(file), run)
    how = reading(model, card_of(run))
    for number, line in enumerate(lines(file), 1):
        name = f"{file}:{number}"
        try:
            yield Entry(name, (*pair_of(line), how))
        except ZooError as error:
            yield Entry(name, error=str(error))


def pair_of(line: bytes) -> tuple[str, str]:
    """(question, context). Raises: ZooError for a line that is too long, no UTF-8, or no such pair."""
    if len(line) > LONGEST:
        raise ZooError(
            f"the line is longer than {LONGEST:,} bytes; give the part of the text that the question is about."
        )
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        found = None
    question, context = (found.get(key) if isinstance(found, dict) else None for key in ("question", "context"))
    if not all(isinstance(each, str) and each.strip() for each in (question, context)):
        raise ZooError(f"the line is no question with its text; give {FORM}.")
    return str(question), str(context)


def columns(model: Any, top: int | None) -> list[str]:
    """The likeliest answers and where they stand: characters of the context."""
    return ["question", *ranked(("answer", "probability", "start", "end"), top or TOP)]


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row a question."""
    from zoo.inspect.answers import answer

    found, names = [], columns(model, top)
    for question, context, how in items:
        said = answer(model, question, context, how, top or TOP).answers
        told = [value for each in said for value in (each.text, rounded(each.probability), each.start, each.end)]
        found.append([dict(zip(names, [question, *told], strict=False))])
    return found
