"""How a forecaster does from many origins of the test part, and how it would have done, trained again as time went on.

Errors are those of values z-scored by the run's own training rows, also of models that were trained on more, and so scaled
otherwise: one scale for all figures.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.files import write_text
from zoo.inspect.series.errors import Errors, Forecasts, batches, forecasts_of, observed_of


class Scored(NamedTuple):
    """errors: by forecaster, the baselines first, `model` last; grouped by series. origins: [n, 2] long, (series, row) of each
    window in the order of the errors' windows. folds: with refits, what each was trained on; else empty."""

    errors: dict[str, Errors]
    origins: Tensor
    folds: list[Fold]


class Fold(NamedTuple):
    """A part of the test part. first: when its first forecast row is, as `times` says it. trained: rows, over all series,
    that its model was trained on. windows: origins in it. mse: of its model on them."""

    first: Any
    trained: int
    windows: int
    mse: float


def backtest(model: Any, data: Any, every: int = 1) -> Scored:
    """The model as it is, from every `every`-th origin of each series' test part; 1 gives `test/mse`.

    Args:
        model: a `Forecaster`.
        data: the data module of its run, set up.
        every: how many windows of the test part lie from one that is scored to the next.
    """
    from zoo.series.baselines import baselines

    origins = thinned(data.dataset("test").origins, every)
    errors = dict[str, Errors]()
    score(errors, {**baselines(data), "model": forecasts_of(model)}, data, origins, 1.0, len(data.loaded().panel.ids))
    return Scored(errors, origins, [])


def refitted(data: Any, settings: Mapping[str, Any], folds: int, every: int = 1, patience: int | None = None) -> Scored:
    """The test part in `folds` parts, equal in time; before each a model is trained from scratch on all that precedes it (E10).

    Its last rows, as many as the run's validation part has, choose among epochs, as in the run.

    Args:
        data: the data module of the run, set up.
        settings: a plain config as `zoo.training.run.train` takes it; its `model`, `task`, `trainer` and `seed` are used.
        folds: how many.
        every: as in `backtest`.
        patience: epochs without a better validation after which training stops; None: never.

    Raises: ZooError for more folds than origins.
    """
    from zoo.series.baselines import baselines

    known = data.loaded()
    origins, bounds = thinned(data.dataset("test").origins, every), fold_bounds(data, folds)
    errors, told, kept = dict[str, Errors](), list[Fold](), list[Tensor]()
    std = torch.tensor(known.preprocess.std[: data.spec.channels], dtype=torch.float64)
    for begin, end in zip(bounds.T, bounds.T[1:], strict=False):
        mine = origins[_between(origins, begin, end)]
        if not len(mine):
            continue
        other = until(data, begin)
        model = _train(settings, other, patience)
        again = torch.tensor(other.loaded().preprocess.std[: data.spec.channels], dtype=torch.float64)
        part = {**baselines(other), "model": forecasts_of(model)}
        before = _sums(errors)
        score(errors, part, other, mine, again / std, len(known.panel.ids))
        squared, count = (after - now for after, now in zip(_sums(errors), before, strict=True))
        series = int(mine[0, 0])
        trained = int((other.loaded().parts["train"][:, 1]).sum())
        told.append(Fold(moment(data, series, int(begin[series])), trained, len(mine), squared / count))
        kept.append(mine)
    return Scored(errors, torch.cat(kept), told)


def score(
    errors: dict[str, Errors],
    forecasters: Mapping[str, Forecasts],
    data: Any,
    origins: Tensor,
    factor: Tensor | float,
    series: int,
) -> None:
    """Add the errors of forecasts from these origins, times `factor` [C], to those there are."""
    windows, begin = dataclasses.replace(data.dataset("test"), origins=origins), 0
    for batch in batches(windows):
        target, observed = batch["future_values"] * factor, observed_of(batch, "future")
        group = origins[begin : begin + len(target), 0]
        begin += len(target)
        for name, forecast in forecasters.items():
            each = errors.setdefault(name, Errors(series, *target.shape[1:]))
            each.add(forecast(batch) * factor, target, observed, group)


def thinned(origins: Tensor, every: int) -> Tensor:
    """Every `every`-th of the origins of each series, the first among them."""
    series, counts = origins[:, 0].unique_consecutive(return_counts=True)
    number = torch.cat([torch.arange(int(n)) for n in counts]) if len(series) else torch.zeros(0, dtype=torch.long)
    return origins[number % every == 0]


def fold_bounds(data: Any, folds: int) -> np.ndarray:
    """[series, folds + 1]: rows at which each series' origins are cut; those of series with stamps at the same moments."""
    known = data.loaded()
    test = known.parts["test"]
    first, end = test[:, 0], np.maximum(test[:, 1] - data.horizon + 1, test[:, 0])
    if (end - first).max() < folds:
        raise ZooError(
            f"--refit {folds} is more parts than the test part has origins, {(end - first).max()}; give less."
        )
    shares = np.arange(folds + 1) / folds
    if known.panel.clock is None:
        return (first[:, None] + np.round((end - first)[:, None] * shares)).astype(np.int64)
    some = end > first
    begins, ends = (known.panel.first + first)[some].min(), (known.panel.first + end)[some].max()
    moments = np.round(begins + (ends - begins) * shares).astype(np.int64)
    return np.clip(moments - known.panel.first[:, None], first[:, None], end[:, None])


def until(data: Any, begin: np.ndarray) -> Any:
    """The data module again, as it would have been before these rows [series]: what precedes them is for training and, its last
    rows, for validation; its test part begins there."""
    parts = data.loaded().parts
    held = parts["val"][:, 1] - parts["val"][:, 0]
    cut, zero = np.maximum(begin - held, 0), np.zeros_like(begin)
    spans = {"train": (zero, cut), "val": (cut, begin), "test": (begin, parts["test"][:, 1])}
    other = copy.copy(data)
    other.split = {stage: np.stack(span, 1) for stage, span in spans.items()}
    other.source = None
    other.source = other.finish(other.load())
    return other


def moment(data: Any, series: Any, row: Any) -> Any:
    """When rows of series are: datetime64, or, without a clock, their numbers, from 1."""
    found = data.loaded().panel.stamps(row, series)
    return np.asarray(row) + 1 if found is None else np.asarray(found).astype("datetime64[us]")


def rows_of(scored: Scored, data: Any, name: str = "model") -> Iterator[list[Any]]:
    """A row a series, channel and step: their names, observed values, MSE, MAE and, of columns that have it, MASE."""
    errors, known = scored.errors[name], data.loaded()
    squared, absolute, scale = errors.mse(0, 1, 2), errors.mae(0, 1, 2), known.preprocess.mase_scale
    for s, series in enumerate(known.panel.ids):
        for c, channel in enumerate(known.preprocess.targets):
            for step in range(data.horizon):
                if not (n := int(errors.count[s, step, c])):
                    continue
                mae = float(absolute[s, step, c])
                mase = f"{mae / scale[c]:.8g}" if scale[c] else ""
                yield [series or "", channel, step + 1, n, f"{squared[s, step, c]:.8g}", f"{mae:.8g}", mase]


def mase(errors: Errors, data: Any) -> float:
    """Mean of |error| / the training rows' seasonal-naive MAE over the observed cells of channels that are not constant in
    training; NaN without any. As the task has it."""
    scale = torch.tensor([each or float("nan") for each in data.loaded().preprocess.mase_scale], dtype=torch.float64)
    scaled = errors.absolute.sum((0, 1)) / scale
    return float(scaled.nansum() / errors.count.sum((0, 1))[scale.isfinite()].sum())


def _between(origins: Tensor, begin: np.ndarray, end: np.ndarray) -> Tensor:
    series = origins[:, 0]
    return (origins[:, 1] >= torch.from_numpy(begin)[series]) & (origins[:, 1] < torch.from_numpy(end)[series])


def _sums(errors: Mapping[str, Errors]) -> tuple[float, float]:
    if "model" not in errors:
        return 0.0, 0.0
    return float(errors["model"].squared.sum()), float(errors["model"].count.sum())


def _train(settings: Mapping[str, Any], data: Any, patience: int | None) -> Any:
    """A model that knows nothing before these data, at its best epoch."""
    from zoo.reports.training import Best
    from zoo.training.run import train

    watch = [Best(patience or 10**9, settings["task"]["monitor"] or "mse", "min")] if data.val_size else []
    task: Any = train(settings, None, data=data, watch=watch).task
    return task.model.eval()


def write_csv(scored: Scored, data: Any, file: Path) -> Path:
    """`rows_of`, with a first line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["series", "channel", "step", "values", "mse", "mae", "mase"])
    writer.writerows(rows_of(scored, data))
    write_text(file, text.getvalue())
    return file


def times(scored: Scored, data: Any) -> tuple[np.ndarray, str]:
    """(when each window's first forecast row is, what that is)."""
    series, row = scored.origins.numpy().T
    clock = data.loaded().panel.clock
    return moment(data, series, row), "row of the first forecast" if clock is None else "first forecast"
