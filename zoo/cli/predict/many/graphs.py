"""Many graphs: .npz files, and all in folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.cli.predict.many import Entry, found
from zoo.cli.predict.many.table import Row, class_columns, class_rows
from zoo.errors import ZooError

BATCH = 1  # a graph may be large
TOP = 3


def files(source: str) -> list[Path]:
    """Raises: ZooError for what is no .npz, and no folder with such."""
    if not (these := found(source, (".npz",))):
        raise ZooError(
            f"{source} is not there, or no .npz file or folder of such, with x [N, F] and edge_index [2, E]."
        )
    return these


def entries(model: Any, file: Path, run: str) -> Iterator[Entry]:
    """The graph, checked and prepared as the model's was."""
    from zoo.cli.predict.graphs import prepared, read

    yield Entry(str(file), read(model, file, prepared(model, run)))


def columns(model: Any, top: int | None) -> list[str]:
    """The likeliest classes of a node, or of a graph where the model pools."""
    return [*["node"] * (not model.pools), *class_columns(model, top or TOP)]


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row a node, or a graph."""
    import torch

    with torch.no_grad():
        outputs = [model.forward(*model.inputs(graph)).float().cpu() for graph in items]
    rows = [class_rows(model, each, top or TOP) for each in outputs]
    return rows if model.pools else [[{"node": i, **row} for i, row in enumerate(each)] for each in rows]
