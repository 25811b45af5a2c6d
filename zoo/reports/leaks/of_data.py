"""Guards of data: the table is changed, and made into windows again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.inspect.series.errors import batches
from zoo.reports.leaks.seen import Broken, forecast, same
from zoo.series import Panel, panel

STAGES = ("train", "val", "test")


def later_rows_move_no_window(model: Any, data: Any) -> str:
    """E5: targets and past-only columns from the first forecast row on, as noise in the table itself."""
    roles, windows, whole = data.loaded().preprocess.roles, data.test_dataloader().dataset, clocked(data)
    chosen = sorted({0, len(windows) // 2, len(windows) - 1})
    for i in chosen:
        series, row = windows.origins[i].tolist()
        rows = table_rows(whole, np.arange(int(whole.starts[series]) + row, int(whole.starts[series + 1])))
        other = twin(data, dict.fromkeys((*roles.targets, *roles.past), rows)).test_dataloader().dataset
        before, after = (next(batches(each, [i])) for each in (windows, other))
        for name in before.keys() - {"future_values", "future_observed_mask"}:
            same(before[name], after[name], f"later rows of the table moved {name} of test window {i}")
        same(
            forecast(model, before), forecast(model, after), f"later rows of the table moved the forecast of window {i}"
        )
    what = "targets" + (f" and {', '.join(roles.past)}" if roles.past else "")
    return f"test windows {', '.join(map(str, chosen))}, {what} from the first forecast row on set to noise: equal to the bit"


def later_rows_move_no_scaler(model: Any, data: Any) -> str:
    """Means, deviations and MASE's scale are those of the training rows."""
    known, whole = data.loaded(), clocked(data)
    ends = whole.starts[:-1] + known.parts["train"][:, 1]
    spans = [np.arange(a, b) for a, b in zip(ends, whole.starts[1:], strict=True)]
    rows = table_rows(whole, np.concatenate(spans))
    other = twin(data, dict.fromkeys(known.preprocess.roles.numeric, rows)).loaded().preprocess
    for name in ("mean", "std", "mase_scale"):
        if getattr(known.preprocess, name) != getattr(other, name):
            raise Broken(f"rows behind the training part moved the {name} that values are scaled by")
    return f"{len(rows):,} rows behind the training part set to noise: mean, deviation and MASE's scale as before"


def parts_share_no_target(model: Any, data: Any) -> str:
    """E3, bug 3: no row is forecast in two parts."""
    starts, counts = data.loaded().panel.starts, {}
    taken = dict[str, np.ndarray]()
    for stage in STAGES:
        if not len(data.rows(stage)):
            continue
        origins = data.dataset(stage).origins.numpy()
        first = starts[origins[:, 0]] + origins[:, 1]
        edges = np.bincount(first, minlength=starts[-1] + data.horizon + 1)
        edges[data.horizon :] -= edges[: -data.horizon].copy()
        mine = edges.cumsum() > 0
        for other, theirs in taken.items():
            if (both := (mine & theirs).nonzero()[0]).size:
                raise Broken(f"{both.size:,} target rows, the first of them {both[0]}, are in {other} and in {stage}")
        taken[stage], counts[stage] = mine, int(mine.sum())
    return "target rows: " + ", ".join(f"{count:,} in {stage}" for stage, count in counts.items()) + "; none in two"


def twin(data: Any, changed: Mapping[str, np.ndarray]) -> Any:
    """The data module with noise in these rows of these columns of its table."""
    other, table, draw = copy.copy(data), data.load(), np.random.default_rng(0)
    for name, rows in changed.items():
        values = table.numbers[name] = np.array(table.numbers[name], np.float64)
        values[rows] = np.nanmean(values) + 3 * draw.normal(size=len(rows)) * (np.nanstd(values) or 1.0)
    other.source = None
    other.source = other.finish(table)
    return other


def clocked(data: Any) -> Panel:
    """The table's rows on their clock."""
    return panel(data.load(), data.freq, data.gaps)


def table_rows(whole: Panel, rows: np.ndarray) -> np.ndarray:
    """Rows of the table for rows of the panel; those that a gap stands for are in none."""
    if whole.rows is None:
        return rows
    found = whole.rows[rows]
    return found[found >= 0]
