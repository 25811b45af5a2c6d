"""From a CSV file, or a data frame, to a table. What is wrong is named by line, stamp and column."""

import csv
import gzip
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from zoo.errors import ZooError, one_line, printable
from zoo.series.frequencies import shown
from zoo.series.roles import Roles
from zoo.series.table import Table, line_of, opened

log = logging.getLogger(__name__)
LONGEST = 1000  # letters of a name
LONGEST_LINE, MOST_COLUMNS = 1 << 20, 20_000  # letters of the line that names the columns, and columns
UNPACKED = (
    100  # times its size, and 64 MiB at least, to which a .gz may unpack: tables of stamps and numbers do to 3 to 20
)
CHUNK = 200_000  # rows that are read at a time
#: What an empty cell of numbers may hold; of stamps, ids and static columns: nothing.
EMPTY = ["", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None", "#N/A", "<NA>"]


def read_csv(path: str | Path, roles: Roles, names: Sequence[str] | None = None, name: str | None = None) -> Table:
    """The table of a .csv, .tsv or .txt file of UTF-8, also as .gz; separated by commas, semicolons or tabs.

    Args:
        path: of the file.
        roles: of its columns; without targets these are all numeric columns left over.
        names: of the columns, of a file without a line of them.
        name: what sentences call the file; None: its path.

    Raises: ZooError for a file or column that is not there, and for a cell that is not what its column holds, by its line.
    """
    path, called = Path(path).expanduser(), name or str(path)
    if not path.is_file():
        what = "is a folder; name a .csv or .tsv file in it" if path.is_dir() else "is not there: there is no such file"
        raise ZooError(f"{called} {what}.")
    try:
        _check_packed(path, called)
        with opened(path) as file:
            first = file.readline(LONGEST_LINE)
        separator = max(",;\t", key=first.count)
        if len(first) == LONGEST_LINE or first.count(separator) >= MOST_COLUMNS:
            raise ZooError(
                f"{called} has a first line of more than {MOST_COLUMNS:,} columns or {LONGEST_LINE:,} letters."
            )
        header = list(names) if names else [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
        _check_header(header, called)
        reader = _Reader(called, header, roles, path)
        # Empty lines are rows only where a row is but one cell.
        # All columns are read, since pandas finds a row of too many cells only then.
        empty = {at: [""] if at in reader.words else EMPTY for at in range(len(header))}
        with pd.read_csv(
            path, sep=separator, header=None, names=range(len(header)), skiprows=0 if names else 1, index_col=False,
            chunksize=CHUNK, encoding="utf-8-sig", dtype=dict.fromkeys(reader.words, object), keep_default_na=False,
            na_values=empty, skip_blank_lines=len(header) > 1, low_memory=False,
        ) as chunks:  # fmt: skip
            for chunk in chunks:
                reader.add(chunk)
    except ZooError:
        raise
    except pd.errors.EmptyDataError:
        pass
    except UnicodeDecodeError as error:
        raise ZooError(f"{called} is no UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except (pd.errors.ParserError, csv.Error) as error:
        what = one_line(error, 200).removeprefix("Error tokenizing data. C error: ")
        raise ZooError(f"{called} is not a table: {what}.") from None
    except (OSError, EOFError, ValueError) as error:
        raise ZooError(f"{called} cannot be read as a table ({one_line(error, 200)}).") from error
    return reader.finish()


def from_frame(frame: pd.DataFrame, roles: Roles, name: str = "the table") -> Table:
    """The same of a data frame; its lines are counted as in its CSV file."""
    header = [str(column) for column in frame.columns]
    _check_header(header, name)
    reader = _Reader(name, header, roles, None)
    plain = frame.set_axis(range(len(header)), axis=1).reset_index(drop=True)
    reader.add(plain[reader.used])
    return reader.finish()


def _check_packed(path: Path, called: str) -> None:
    """Refuse a small file that unpacks to a huge one, before its lines are held in memory."""
    if path.suffix != ".gz":
        return
    left = max(UNPACKED * path.stat().st_size, 64 << 20)
    with gzip.open(path) as file:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise ZooError(f"{called} unpacks to more than {UNPACKED} times its size, which no table does.")


def _check_header(header: list[str], name: str) -> None:
    if not header or not any(header):
        raise ZooError(f"{name} is empty; its first line is to name the columns.")
    doubled = next((each for each in header if each and header.count(each) > 1), None)
    if doubled:
        raise ZooError(f"{name} has two columns {doubled!r}; give each its own name.")
    if strange := next((each for each in header if printable(each) != each or len(each) > LONGEST), None):
        raise ZooError(f"{name} has a column {_shown(strange)}, which is no name; give it one that can be printed.")
    if all(_is_number(each) for each in header):
        raise ZooError(f"{name} begins with numbers ({', '.join(header)[:60]}); its first line is to name the columns.")


def _is_number(text: str) -> bool:
    try:
        return bool(float(text)) or True
    except ValueError:
        return False


class _Reader:
    """Chunks of a table to arrays. Columns are known by their place, so that no name can be special to pandas."""

    def __init__(self, name: str, header: list[str], roles: Roles, path: Path | None):
        self.name, self.header, self.roles, self.path = name, header, roles, path
        roles.check_columns([each for each in header if each], name)
        place = {each: at for at, each in enumerate(header)}
        self.time, self.id = (place[each] if each else None for each in (roles.time, roles.id))
        self.static = [place[each] for each in roles.static]
        self.words = [at for at in (self.time, self.id, *self.static) if at is not None]
        self.numeric: list[int] | None = [place[each] for each in roles.numeric] if roles.targets else None
        left = [at for at, each in enumerate(header) if each and at not in self.words]
        self.used = sorted({*self.words, *(left if self.numeric is None else self.numeric)})
        self.rows = 0
        self.format: str | None = None
        self.parts: dict[int, list[np.ndarray]] = {at: [] for at in self.used}
        self.known: dict[int, dict[str, int]] = {at: {} for at in self.words if at != self.time}

    def add(self, chunk: pd.DataFrame) -> None:
        if self.numeric is None:
            self.numeric = self._choose(chunk)
        for at in self.known:
            self.parts[at].append(self._codes(chunk[at], at))
        if self.time is not None:
            self.parts[self.time].append(self._stamps(chunk[self.time]))
        for at in self.numeric:
            self.parts[at].append(self._numbers(chunk[at], at))
        self.rows += len(chunk)

    def finish(self) -> Table:
        if not self.rows or not self.numeric:
            what = "no rows" if not self.rows else "no column of numbers that could be forecast"
            raise ZooError(f"{self.name} has {what}.")
        joined = {at: self._joined(at) for at in (*self.words, *self.numeric)}
        ids = tuple(self.known[self.id]) if self.id is not None else (None,)
        texts = {self.header[at]: (joined[at], tuple(self.known[at])) for at in self.static}
        numbers = {self.header[at]: joined[at] for at in self.numeric}
        stamps = None if self.time is None else joined[self.time]
        series = None if self.id is None else joined[self.id]
        return Table(self.name, self.roles, numbers, stamps, series, ids, texts, self.path, len(self.header))

    def _joined(self, at: int) -> np.ndarray:
        parts = self.parts.pop(at)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _choose(self, chunk: pd.DataFrame) -> list[int]:
        """Targets that are not told: columns without a role whose cells are numbers, at least half of them."""
        taken = {*self.roles.past, *self.roles.future}
        left = [at for at in self.used if at not in self.words and self.header[at] not in taken]
        numeric = [at for at in left if _mostly_numbers(chunk[at])]
        if texts := [self.header[at] for at in left if at not in numeric]:
            log.info(f"{self.name}: {', '.join(texts)} {'is' if len(texts) == 1 else 'are'} text, and left out")
        self.roles = self.roles.with_targets([self.header[at] for at in numeric])
        place = {each: at for at, each in enumerate(self.header)}
        return [place[each] for each in self.roles.numeric] if numeric else []

    def _numbers(self, cells: pd.Series, at: int) -> np.ndarray:
        if cells.dtype.kind not in "iuf":
            as_text = cells.astype(object)
            found = pd.to_numeric(as_text.where(~as_text.map(_is_bool), "bool"), errors="coerce")
            wrong = (found.isna() & as_text.notna()).to_numpy()
            if wrong.any():
                row = int(wrong.argmax())
                self._refuse(row, at, f"holds {_shown(as_text.iloc[row])}, which is not a number")
            cells = found
        values = cells.to_numpy(np.float64, copy=True)
        if np.isinf(values).any():
            row = int(np.isinf(values).argmax())
            self._refuse(row, at, f"holds {values[row]}; write a number, or leave the cell empty")
        return values

    def _stamps(self, cells: pd.Series) -> np.ndarray:
        empty = cells.isna().to_numpy()
        if empty.any():
            self._refuse(int(empty.argmax()), self.time, "is empty; each row needs its stamp")
        if cells.dtype.kind == "M":
            found = pd.to_datetime(cells, utc=True)
        else:
            cells = cells.astype(str)
            if self.format is None:
                self.format = _format(cells)
            found = pd.to_datetime(cells, format=self.format, errors="coerce", utc=True)
            if found.isna().any():
                row = int(found.isna().to_numpy().argmax())
                style = "" if self.format == "ISO8601" else f" as the first stamps are ({self.format})"
                self._refuse(
                    row,
                    self.time,
                    f"holds {_shown(cells.iloc[row])}, which is not a stamp{style}; write 2013-01-31 05:00",
                )
        return pd.DatetimeIndex(found).as_unit("us").asi8

    def _codes(self, cells: pd.Series, at: int) -> np.ndarray:
        """Numbers of texts, in order of their first rows."""
        empty = cells.isna().to_numpy()
        if empty.any():
            self._refuse(int(empty.argmax()), at, "is empty; each row needs it")
        codes, texts = pd.factorize(cells.astype(str))
        if strange := next((text for text in texts if printable(text) != text or len(text) > LONGEST), None):
            row = int((codes == list(texts).index(strange)).argmax())
            self._refuse(row, at, f"holds {_shown(strange)}, which is no name; give it one that can be printed")
        known = self.known[at]
        return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)[codes]

    def _refuse(self, row: int, at: int | None, what: str) -> None:
        row += self.rows
        line = line_of(self.path, row) if self.path else row + 2
        stamp = ""
        if at != self.time and self.time is not None and self.parts[self.time]:
            known = np.concatenate(self.parts[self.time])
            stamp = f" ({shown(known[row])})" if row < len(known) else ""
        assert at is not None
        raise ZooError(f"{self.name}, line {line}{stamp}: column {self.header[at]!r} {what}.")


def _format(cells: pd.Series) -> str:
    """How stamps are written, by the first of them; 1/2/2013 is the second of January, if the others can be read so."""
    if pd.to_datetime(cells.iloc[:1], format="ISO8601", errors="coerce", utc=True).notna().all():
        return "ISO8601"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about which of the two it takes
        formats = [guess_datetime_format(cells.iloc[0], dayfirst=first) for first in (False, True)]
    readable = (each for each in formats if each and pd.to_datetime(cells, format=each, errors="coerce").notna().all())
    return next(readable, None) or formats[0] or "ISO8601"


def _is_bool(cell: object) -> bool:
    return isinstance(cell, bool | np.bool_)


def _mostly_numbers(cells: pd.Series) -> bool:
    if cells.dtype.kind in "iuf":
        return True
    there = cells.dropna()
    return there.dtype.kind != "b" and 2 * int(pd.to_numeric(there, errors="coerce").notna().sum()) >= max(
        1, len(there)
    )


def _shown(value: object) -> str:
    return repr(printable(one_line(value, 60)))
