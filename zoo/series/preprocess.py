"""From a table to a forecaster's input and from its output to the data's units: part of the model, saved with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError, naming, nearest, one_line, printable
from zoo.series import calendar
from zoo.series.arrays import Arrays
from zoo.series.frequencies import parse, shown
from zoo.series.panel import BLOCK, GAPS, Panel, panel
from zoo.series.roles import Roles
from zoo.series.table import Table

#: The most rows, columns and texts that a file may tell of.
LARGEST, MANY = 10**8, 10**6


class Encoded(NamedTuple):
    """What a table says of what follows it, a window a series.

    Args:
        inputs: a batch without targets; see `Arrays.windows`.
        stamps: int64 [S, H], microseconds since 1970, of the steps that are forecast; None without a clock.
        ids: names of the series.
        rows: int64 [S], the row of each series (counted from its first) that is forecast first.
        panel: the table on its clock.
    """

    inputs: dict[str, Tensor]
    stamps: np.ndarray | None
    ids: tuple[str | None, ...]
    rows: np.ndarray
    panel: Panel


@dataclass(frozen=True, kw_only=True)
class SeriesPreprocess:
    """What columns are for, their scale by the training rows, their clock.

    Args:
        targets, past, future, static, time, id: columns; see `Roles`.
        lookback: rows that a model reads.
        horizon: rows that it forecasts.
        freq: of the rows, None without stamps.
        season: rows after which a series is usually as before.
        mean, std: of the columns of numbers, targets first, then past, then future.
        categories: of static columns of text, their texts in order of their numbers.
        static_mean, static_std: of static columns of numbers, in their order.
        mase_scale: of each target, the mean absolute difference of training rows (as scaled) a season apart; None where they
            do not differ.
        gaps: refuse | mask.
        kind: of preprocessing, which tells it from that of images.
    """

    kind: str = "series"
    time: str | None = None
    id: str | None = None
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    freq: str | None = None
    season: int = 1
    lookback: int
    horizon: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    static_mean: tuple[float, ...] = ()
    static_std: tuple[float, ...] = ()
    mase_scale: tuple[float | None, ...] = ()
    gaps: str = "refuse"

    @property
    def roles(self) -> Roles:
        """What the columns are for."""
        names = (each.name for each in fields(Roles))
        return Roles(**{name: getattr(self, name) for name in names})

    def sizes(self) -> dict[str, Any]:
        """What a model must agree with, by the names of its settings."""
        return {
            "channels": len(self.targets),
            "lookback": self.lookback,
            "horizon": self.horizon,
            "time_features": len(calendar.names(parse(self.freq))) if self.freq else 0,
            "past_covariates": len(self.past),
            "future_covariates": len(self.future),
            "static_categories": tuple(len(self.categories[name]) for name in self.static if name in self.categories),
            "static_reals": len(self.static) - len(self.categories),
        }

    def describe(self) -> dict[str, str]:
        """What a table must hold, in words, by role."""
        roles = ("time", "id", "targets", "past", "future", "static")
        names = {role: getattr(self, role) for role in roles}
        said = {role: each if isinstance(each, str) else ", ".join(each) for role, each in names.items() if each}
        step = {"step": self.freq} if self.freq else {}
        gaps = "refused" if self.gaps == "refuse" else "masked"
        return {**said, **step, "rows": f"{self.lookback:,} before a forecast of {self.horizon:,}", "gaps": gaps}

    # -- tables to inputs --------------------------------------------------------------------------------------------

    def arrays(self, series: Panel, more: int = 0) -> Arrays:
        """All rows as a model reads them, each series followed by `more` rows of which only the calendar is known."""
        names, first = {}, 0
        for role in ("targets", "past", "future"):
            names[role] = (getattr(self, role), first)
            first += len(names[role][0])
        values, observed = self._scaled(series, *names["targets"], more)
        past, future = (self._scaled(series, *names[role], more)[0] for role in ("past", "future"))
        time = series.time_features(more)
        assert values is not None
        categories, reals = self._static(series)
        return Arrays(
            values, observed, None if time is None else torch.from_numpy(time), past, future, categories, reals
        )

    def _scaled(
        self, series: Panel, names: tuple[str, ...], first: int, more: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """(values float32 [N, columns], observed bool, None where all are) of columns whose scale begins at `first`."""
        if not names:
            return None, None
        count = len(series) + more * len(series.ids)
        made, observed = np.zeros((count, len(names)), np.float32), None
        for column, name in enumerate(names):
            mean, std = self.mean[first + column], self.std[first + column]
            for number, (start, stop) in enumerate(zip(series.starts, series.starts[1:], strict=False)):
                for begin in range(start, stop, BLOCK):
                    values = (series.numbers[name][begin : min(stop, begin + BLOCK)] - mean) / std
                    rows = slice(begin + number * more, begin + number * more + len(values))
                    if (empty := np.isnan(values)).any():
                        observed = np.ones((count, len(names)), bool) if observed is None else observed
                        observed[rows, column] = ~empty
                        values[empty] = 0
                    with np.errstate(over="ignore"):
                        made[rows, column] = values
                    if np.isinf(made[rows, column]).any():
                        raise ZooError(
                            f"column {name!r} has a value too large to be scaled; give it in the run's unit."
                        )
        return torch.from_numpy(made), None if observed is None else torch.from_numpy(observed)

    def _static(self, series: Panel) -> tuple[Tensor | None, Tensor | None]:
        numbers: list[list[int]] = []
        reals: list[list[float]] = []
        for name in self.static:
            texts = series.static(name)
            if (known := self.categories.get(name)) is not None:
                if unknown := next((text for text in texts if text not in known), None):
                    raise ZooError(
                        f"{series.table.name}: the static column {name!r} has {unknown!r}, which was not there in training; "
                        f"{nearest(unknown, known)}"
                    )
                numbers.append([known.index(text) for text in texts])
            else:
                at = len(reals)
                values = [_real(text, name, series.table.name) for text in texts]
                reals.append([(value - self.static_mean[at]) / self.static_std[at] for value in values])
        return (
            torch.tensor(numbers).T.contiguous() if numbers else None,
            torch.tensor(reals, dtype=torch.float32).T.contiguous() if reals else None,
        )

    def encode(self, table: Table) -> Encoded:
        """What follows the last row of each series that has an observed target.

        Raises: ZooError for less rows than the lookback, for stamps of another frequency, and for future-known columns that do
        not reach over the horizon.
        """
        series = panel(table, self.freq, self.gaps)
        there = ~np.isnan(np.stack([series.numbers[name] for name in self.targets], 1)).all(1)
        bounds = list(zip(series.starts[:-1], series.starts[1:], strict=True))
        rows = np.array([int(there[a:b].nonzero()[0].max(initial=-1)) + 1 for a, b in bounds], np.int64)
        for at, row in enumerate(rows):
            if row < self.lookback:
                raise ZooError(
                    f"{table.name}{series.called(at)}: a forecast needs {self.lookback} rows before it (the model's "
                    f"lookback), and there are {row} up to the last observed target; give more."
                )
        if self.gaps == "refuse":
            series.check_cells((*self.targets, *self.past), rows)
        for name in self.future:
            self._check_future(series, name, rows)
        arrays = self.arrays(series, self.horizon)
        starts = series.starts[:-1] + self.horizon * np.arange(len(rows))
        first, which = torch.from_numpy(starts + rows), torch.arange(len(rows))
        inputs = arrays.windows(first, which, self.lookback, self.horizon, targets=False)
        steps = rows[:, None] + np.arange(self.horizon)
        stamps = series.stamps(steps, np.arange(len(rows))[:, None])
        return Encoded(inputs, stamps, series.ids, rows, series)

    def _check_future(self, series: Panel, name: str, rows: np.ndarray) -> None:
        for at, row in enumerate(rows):
            start, stop = int(series.starts[at]), int(series.starts[at + 1])
            first = start + row - (self.lookback if self.gaps == "refuse" else 0)
            known = series.numbers[name][first : min(stop, start + row + self.horizon)]
            missing = np.isnan(known)
            step = int(missing.argmax()) if missing.any() else len(known)
            if step < start + row + self.horizon - first:
                stamp = series.stamps(first - start + step, at)
                where = f"row {first - start + step + 1} of the series" if stamp is None else shown(stamp)
                raise ZooError(
                    f"{series.table.name}{series.called(at)}: the column {name!r} is known beforehand (data.future), and is "
                    f"missing at {where}; a forecast needs it for all {self.horizon} steps: add rows with empty targets."
                )

    def decode(self, values: Tensor) -> Tensor:
        """Targets [..., C] in the data's units."""
        count = len(self.targets)
        mean, std = (torch.tensor(each[:count], dtype=torch.float64) for each in (self.mean, self.std))
        return (values.double() * std.to(values.device) + mean.to(values.device)).to(values.dtype)

    # -- a file's words ----------------------------------------------------------------------------------------------

    @classmethod
    def from_plain(cls, content: Mapping[str, Any], where: str) -> "SeriesPreprocess":
        """Of its fields, which somebody else may have written. Raises: ZooError that names the field."""
        known = {each.name: each for each in fields(cls)}
        if unknown := sorted(map(str, content.keys() - known.keys())):
            raise ZooError(f"{where}: preprocess.{unknown[0]} is unknown; {nearest(unknown[0], known)}")
        needed = ("targets", "lookback", "horizon", "mean", "std")
        if missing := next((name for name in needed if name not in content), None):
            raise ZooError(f"{where}: preprocess.{missing} is missing.")

        def names(value: Any) -> bool:
            return isinstance(value, list | tuple) and len(value) <= MANY and all(map(_name, value))

        def numbers(value: Any, count: int, least: float | None = None, none: bool = False) -> bool:
            right = isinstance(value, list | tuple) and len(value) == count
            return right and all((none and each is None) or _number(each, least) for each in value)

        def right(name: str, check: bool) -> None:
            if not check:
                text = one_line(repr(content[name]), 80)
                raise ZooError(f"{where}: preprocess.{name}={text} is out of range, or of another kind.")

        for name in ("targets", "past", "future", "static"):
            right(name, names(content.get(name, ())) and bool(content.get(name) or name != "targets"))
        for name in ("time", "id", "freq"):
            right(name, content.get(name) is None or _name(content[name]))
        for name in ("lookback", "horizon", "season"):
            right(name, type(content.get(name, 1)) is int and 1 <= content.get(name, 1) <= LARGEST)
        columns = sum(len(content.get(name, ())) for name in ("targets", "past", "future"))
        right("mean", numbers(content["mean"], columns))
        right("std", numbers(content["std"], columns, 0))
        categories = content.get("categories", {})
        texts = isinstance(categories, Mapping) and all(key in content.get("static", ()) for key in categories)
        right("categories", texts and all(names(value) and value for value in categories.values()))
        reals = len(content.get("static", ())) - len(categories)
        right("static_mean", numbers(content.get("static_mean", ()), reals)) if reals else None
        right("static_std", numbers(content.get("static_std", ()), reals, 0)) if reals else None
        right("mase_scale", numbers(content.get("mase_scale", ()), len(content["targets"]), 0, none=True))
        right("gaps", content.get("gaps", "refuse") in GAPS)
        right("kind", content.get("kind", "series") == "series")
        if content.get("freq") is not None:
            parse(content["freq"], f"{where}: preprocess.freq")
        plain: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in content.items()}
        plain["categories"] = {key: tuple(value) for key, value in categories.items()}
        made = cls(**plain)
        with naming(where):
            made.roles.checked()
        return made


def _real(text: str, column: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ZooError(f"{name}: the static column {column!r} has {text!r}, which is not a number as in training.")
    return value


def _name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000 and printable(value) == value


def _number(value: Any, above: float | None = None) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf") and (above is None or value > above)
