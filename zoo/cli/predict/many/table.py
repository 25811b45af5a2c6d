"""A table that is written row by row, as CSV or as JSON lines, and the columns of answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError
from zoo.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, Any]
ENDS = (".csv", ".jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a text begins with that a spreadsheet may run


def check_target(to: str) -> Path:
    """The file of --to. Raises: ZooError for one of another kind, or a folder."""
    target = Path(to)
    if target.suffix.lower() not in ENDS or target.is_dir():
        raise ZooError(f"--to {to} is neither a .csv nor a .jsonl file; name one.")
    return target


def check_not_read(target: Path, sources: Sequence[str], files: Sequence[Path], ends: Sequence[str]) -> None:
    """Raises: ZooError where the table would take an input's place, or be an input itself the next time.

    Args:
        target: the file of --to.
        sources: files and folders as they were given.
        files: that are read of them.
        ends: of the files of a folder that are read.
    """
    if target.exists() and any(each.exists() and each.samefile(target) for each in files):
        raise ZooError(f"--to {target} is one of the inputs; name another file.")
    real = target.resolve()
    for folder in map(Path, sources):
        inside = folder.is_dir() and real.is_relative_to(folder.resolve())
        if inside and target.name.lower().endswith(tuple(ends)):
            raise ZooError(f"--to {target} lies in {folder}, where it would be read as an input; name one elsewhere.")


@contextmanager
def writing(target: Path, columns: Sequence[str]) -> Iterator[Callable[[Row], object]]:
    """What writes a row; the file takes its place when the block ends well. Of a .csv the columns are the first line, and what
    a row has not is empty; of a .jsonl a row is an object of what it has. Bytes of a file's name that are no UTF-8 are
    written as their escapes, \\udcff, which JSON reads back as they were."""
    text: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with replacing(target) as beside, open(beside, "w", **text) as file:
        if target.suffix.lower() == ".jsonl":
            yield lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            table.writerow({name: cell(name) for name in columns})
            yield lambda row: table.writerow({name: cell(value) for name, value in row.items()})


def cell(value: Any) -> Any:
    """What a cell of a .csv holds: text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def ranked(names: Sequence[str], count: int) -> list[str]:
    """The columns of the `count` likeliest: class, probability, class_2, probability_2, ..."""
    return [name if i == 1 else f"{name}_{i}" for i in range(1, count + 1) for name in names]


def class_columns(model: Any, top: int) -> list[str]:
    """What `class_rows` gives."""
    count = model.num_classes
    if model.targets == "numbers":
        return ["number"] if count == 1 else [f"number_{name}" for name in model.classes or range(count)]
    return ranked(("class", "probability"), min(top, count))


def class_rows(model: Any, outputs: Tensor, top: int) -> list[Row]:
    """A row for each of the outputs [B, n]: the likeliest classes, or, of numbers, all of them.

    Raises: ZooError for an answer that is no number.
    """
    if not outputs.isfinite().all():
        raise ZooError("the model's answer is NaN or infinite")
    columns = class_columns(model, top)
    if model.targets == "numbers":
        return [dict(zip(columns, map(rounded, row), strict=True)) for row in outputs.tolist()]
    names = model.classes or tuple(map(str, range(outputs.shape[-1])))
    shares = outputs.sigmoid() if model.targets == "labels" else outputs.softmax(-1)
    values, places = shares.topk(min(top, outputs.shape[-1]))
    pairs = zip(values.tolist(), places.tolist(), strict=True)
    return [
        dict(zip(columns, [said for p, i in zip(*pair, strict=True) for said in (names[i], rounded(p))], strict=True))
        for pair in pairs
    ]


def rounded(value: float) -> float:
    """As many digits as float32 has."""
    return float(f"{value:.7g}")
