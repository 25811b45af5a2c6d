"""Tables as they stand in a file: numbers, stamps, ids, and where a row is."""

import csv
import gzip
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from zoo.series.frequencies import shown
from zoo.series.roles import Roles


@dataclass
class Table:
    """Columns of equally many rows, as they stand in the file.

    Args:
        name: what sentences call it.
        roles: of the columns, targets told.
        numbers: float64 [N] of each column of numbers, NaN where a cell is empty.
        stamps: int64 [N], microseconds since 1970 (of stamps with a time zone: in UTC), or None.
        series: int64 [N], which of `ids` a row belongs to.
        ids: names of the series; (None,) of a single one without a name.
        texts: static columns, (int64 [N] which, the different texts).
        path: of the file, for its lines.
        columns: of the whole file.
        rows: int64 [N], the file's row of each, of a part of a table; None: all in order.
    """

    name: str
    roles: Roles
    numbers: dict[str, np.ndarray]
    stamps: np.ndarray | None
    series: np.ndarray | None
    ids: tuple[str | None, ...] = (None,)
    texts: dict[str, tuple[np.ndarray, tuple[str, ...]]] = field(default_factory=dict)
    path: Path | None = None
    columns: int = 0
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def where(self, row: int) -> str:
        """A row, as a sentence names it: its file, line and stamp."""
        whole = row if self.rows is None else int(self.rows[row])
        line = line_of(self.path, whole) if self.path else whole + 2
        stamp = f" ({shown(self.stamps[row])})" if self.stamps is not None else ""
        id = f", {self.roles.id}={self.ids[self.series[row]]}" if self.series is not None else ""
        return f"{self.name}, line {line}{stamp}{id}"

    def of(self, series: int) -> "Table":
        """The rows of one series."""
        assert self.series is not None
        rows = np.flatnonzero(self.series == series)
        return replace(
            self, numbers={name: values[rows] for name, values in self.numbers.items()},
            stamps=None if self.stamps is None else self.stamps[rows], series=np.zeros(len(rows), np.int64),
            ids=(self.ids[series],), texts={name: (codes[rows], known) for name, (codes, known) in self.texts.items()},
            rows=rows,
        )  # fmt: skip


def opened(path: Path) -> TextIO:
    """A text file, or one that is compressed."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def line_of(path: Path, row: int) -> int:
    """The line of the file in which a row ends; counted when somebody asks for it, since a cell may hold several lines."""
    with opened(path) as file:
        first = file.readline()
        separator = max(",;\t", key=first.count)
        single, file_lines = first.count(separator) == 0, csv.reader(file, delimiter=separator)
        at = -1
        for cells in file_lines:
            at += bool(cells) or single
            if at == row:
                return file_lines.line_num + 1
    return row + 2
