"""Series on a clock: each row a step after the one before. What a table lacks is refused, or is a row of nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.errors import ZooError, nearest
from zoo.series import calendar
from zoo.series.frequencies import Clock, Frequency, commonest, parse, shown
from zoo.series.roles import Roles
from zoo.series.table import Table

GAPS = ("refuse", "mask")
#: Rows that a panel may have for one of its table: a wrong year would make millions.
MOST_ROWS = 20
BLOCK = 1 << 20  # rows whose stamps are computed at a time


@dataclass
class Panel:
    """Series one behind the other, rows in order of time without a gap.

    Args:
        table: what it was made of.
        numbers: float64 [N] of each column of numbers, NaN where nothing was observed.
        starts: int64 [S + 1], the first row of each series, and N.
        first: int64 [S], the ordinal of each series' first row; without a clock 0.
        clock: of the rows; None: there are no stamps.
        rows: int64 [N], the table's row, -1 where it has none; None: they are the same.
    """

    table: Table
    numbers: dict[str, np.ndarray]
    starts: np.ndarray
    first: np.ndarray
    clock: Clock | None
    rows: np.ndarray | None

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def roles(self) -> Roles:
        return self.table.roles

    @property
    def ids(self) -> tuple[str | None, ...]:
        return self.table.ids

    @property
    def frequency(self) -> Frequency | None:
        return self.clock.frequency if self.clock else None

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series, int64 [S]."""
        return np.diff(self.starts)

    def without_cells(self) -> "Panel":
        """Its clock and names, without what the table holds."""
        return replace(
            self, table=replace(self.table, numbers={}, stamps=None, series=None, texts={}), numbers={}, rows=None
        )

    def stamps(self, rows: Any, series: Any = 0) -> np.ndarray | None:
        """int64 stamps of rows counted from a series' first one, also of rows behind its last; None without a clock."""
        return None if self.clock is None else self.clock.stamps(self.first[series] + np.asarray(rows, np.int64))

    def time_features(self, more: int = 0) -> np.ndarray | None:
        """float32 [N + S * more, F]: the calendar of all rows, each series followed by `more` steps; None: it tells nothing."""
        if self.clock is None or not (names := calendar.names(self.clock.frequency)):
            return None
        made = np.empty((len(self) + more * len(self.ids), len(names)), np.float32)
        at = 0
        for first, length in zip(self.first, self.lengths + more, strict=True):
            for begin in range(0, length, BLOCK):
                stamps = self.clock.stamps(first + np.arange(begin, min(length, begin + BLOCK)))
                made[at : at + len(stamps)] = calendar.features(stamps, self.clock.frequency)
                at += len(stamps)
        return made

    def where(self, row: int) -> str:
        """A row of the panel, as a sentence names it."""
        series = int(np.searchsorted(self.starts, row, "right")) - 1
        at = row if self.rows is None else int(self.rows[row])
        if at >= 0:
            return self.table.where(at)
        stamp = self.stamps(row - self.starts[series], series)
        return f"{self.table.name}, {'' if stamp is None else shown(stamp)}{self.called(series)}"

    def called(self, series: int) -> str:
        """ ", station=a" of a series that has a name."""
        return f", {self.roles.id}={self.ids[series]}" if self.roles.id else ""

    def check_cells(self, columns: Iterable[str], ends: np.ndarray | None = None) -> None:
        """Raises: ZooError for an empty cell of these columns in the first `ends` [S] rows of each series."""
        for name in columns:
            empty = np.isnan(self.numbers[name])
            if ends is not None:
                for start, stop, end in zip(self.starts, self.starts[1:], ends, strict=False):
                    empty[start + end : stop] = False
            if empty.any():
                count = f"the first of {int(empty.sum()):,} such cells"
                raise ZooError(
                    f"{self.where(int(empty.argmax()))}: column {name!r} is empty, {count}; fill it, or take "
                    "data.gaps=mask, for which it is unobserved."
                )

    def static(self, name: str) -> list[str]:
        """A static column's text of each series. Raises: ZooError where it changes within one."""
        codes, texts = self.table.texts[name]
        series = self.table.series if self.table.series is not None else np.zeros(len(codes), np.int64)
        _, firsts = np.unique(series, return_index=True)
        changed = codes != codes[firsts][series]
        if changed.any():
            row = int(changed.argmax())
            here, before = texts[codes[row]], texts[codes[firsts[series[row]]]]
            raise ZooError(
                f"{self.table.where(row)}: the static column {name!r} is {here!r} here and {before!r} before; it must be the "
                "same in all rows of a series."
            )
        return [texts[code] for code in codes[firsts]]


def panel(table: Table, freq: str | None = None, gaps: str = "refuse") -> Panel:
    """A table's series on their clock.

    Args:
        table: whose rows are in order of time within each series.
        freq: of the rows; None: the commonest step.
        gaps: "refuse" missing stamps, or "mask": rows without an observed cell stand in for them.

    Raises: ZooError for an unknown frequency, for a doubled stamp, one that is not in order or not on the clock, and for a gap.
    """
    if gaps not in GAPS:
        raise ZooError(f"data.gaps={gaps} is unknown: {nearest(str(gaps), GAPS)}")
    count = len(table.ids)
    order = None
    if table.series is not None and count > 1 and (np.diff(table.series) < 0).any():
        order = np.argsort(table.series, kind="stable")
    sizes = np.array([len(table)]) if table.series is None else np.bincount(table.series, minlength=count)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if table.stamps is None:
        if freq is not None:
            raise ZooError(f"data.freq={freq} is of stamps, and there are none: name their column, data.time=date.")
        return Panel(table, _ordered(table, order), starts, np.zeros(count, np.int64), None, order)
    stamps = table.stamps if order is None else table.stamps[order]
    steps = np.diff(stamps)
    outside = np.zeros(len(steps), bool)
    outside[starts[1:-1] - 1] = True  # from a series to the next
    _check_order(table, stamps, (steps <= 0) & ~outside, order)
    frequency = parse(freq) if freq else commonest(steps[~outside] if count > 1 else steps, stamps)
    clock = Clock.of(frequency, stamps)
    if ((steps == frequency.step) | outside).all():  # the usual case, at a tenth of the memory
        firsts = stamps[starts[:-1]]
        _check_on_clock(
            table, clock, firsts, clock.ordinals(firsts), starts[:-1] if order is None else order[starts[:-1]]
        )
        return Panel(table, _ordered(table, order), starts, clock.ordinals(firsts), clock, order)
    del steps
    ordinals = clock.ordinals(stamps)
    _check_on_clock(table, clock, stamps, ordinals, order)
    steps = np.where(outside, 1, np.diff(ordinals))
    if (steps == 0).any():
        raise ZooError(
            f"{table.where(_source(order, int((steps == 0).argmax()) + 1))}: the stamp falls into the same step of {frequency} "
            "as the one before; set data.freq=."
        )
    first, last = ordinals[starts[:-1]], ordinals[starts[1:] - 1]
    if (steps == 1).all():
        return Panel(table, _ordered(table, order), starts, first, clock, order)
    lengths = last - first + 1
    _check_gaps(table, frequency, steps, order, gaps == "refuse", int(lengths.sum()))
    whole = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = ordinals + np.repeat(whole[:-1] - first, np.diff(starts))
    rows = np.full(whole[-1], -1, np.int64)
    rows[place] = np.arange(len(stamps)) if order is None else order
    numbers = {}
    for name, values in _ordered(table, order).items():
        numbers[name] = np.full(whole[-1], np.nan)
        numbers[name][place] = values
    return Panel(table, numbers, whole, first, clock, rows)


def _ordered(table: Table, order: np.ndarray | None) -> dict[str, np.ndarray]:
    """Columns of numbers, series by series."""
    return table.numbers if order is None else {name: each[order] for name, each in table.numbers.items()}


def _check_order(table: Table, stamps: np.ndarray, wrong: np.ndarray, order: np.ndarray | None) -> None:
    if wrong.any():
        row = int(wrong.argmax()) + 1
        before = shown(stamps[row - 1])
        what = "is there twice" if stamps[row] == stamps[row - 1] else f"is before that of the row above ({before})"
        each = (
            "one a stamp and series"
            if table.series is not None
            else "one a stamp, or name the column of series, data.id="
        )
        raise ZooError(f"{table.where(_source(order, row))}: the stamp {what}; sort the rows by time, {each}.")


def _check_on_clock(
    table: Table, clock: Clock, stamps: np.ndarray, ordinals: np.ndarray, order: np.ndarray | None
) -> None:
    off = clock.stamps(ordinals) != stamps
    if off.any():
        row = _source(order, int(off.argmax()))
        raise ZooError(
            f"{table.where(row)}: the stamp is not a whole number of steps of {clock.frequency} after "
            f"the first ({shown(clock.origin)}); correct it, or set data.freq=."
        )


def _check_gaps(
    table: Table, frequency: Frequency, steps: np.ndarray, order: np.ndarray | None, refuse: bool, whole: int
) -> None:
    """Refuse gaps, or so many that a stamp must be wrong."""
    if not refuse and whole <= MOST_ROWS * len(table) + 1000:
        return
    row = int((steps > 1).argmax() if refuse else steps.argmax()) + 1
    missing = f"{table.where(_source(order, row))}: {steps[row - 1] - 1:,} steps of {frequency} are missing before it"
    if refuse:
        weekend = " (Of days without weekends: data.freq=B.)" if str(frequency) == "D" else ""
        raise ZooError(
            f"{missing}, {int((steps - 1).sum()):,} in the whole table; add them, or take data.gaps=mask, for which they are "
            f"unobserved.{weekend}"
        )
    raise ZooError(
        f"{missing}, and more than {MOST_ROWS - 1} of {MOST_ROWS} rows would be empty; correct the stamp, or set data.freq=."
    )


def _source(order: np.ndarray | None, row: int) -> int:
    return row if order is None else int(order[row])
