"""What is learned of training rows before any model: means, deviations, how far rows a season apart differ."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from zoo.errors import ZooError
from zoo.series.panel import Panel
from zoo.series.preprocess import SeriesPreprocess

Parts = Sequence[tuple[int, int]]


def fit(series: Panel, parts: Parts, lookback: int, horizon: int, season: int, gaps: str) -> SeriesPreprocess:
    """The preprocessing of a panel by its training rows: mean and deviation (of N) of each column's observed cells.

    Args:
        parts: training rows (first, end) of each series, rows of the panel.

    Raises: ZooError for a column without an observed cell in them.
    """
    roles = series.roles
    scale = {name: _mean_and_deviation(series, name, parts) for name in roles.numeric}
    categories, static_scale = {}, []
    for name in roles.static:
        texts = series.static(name)
        if all(map(_finite, texts)):
            values = np.array([float(text) for text, (first, end) in zip(texts, parts, strict=True) if end > first])
            deviation = float(values.std())
            static_scale.append((float(values.mean()), deviation if np.ptp(values) else 1.0))
        else:
            categories[name] = tuple(dict.fromkeys(texts))
    means, deviations = zip(*(scale[name] for name in roles.numeric), strict=True)
    return SeriesPreprocess(
        time=roles.time, id=roles.id, targets=roles.targets, past=roles.past, future=roles.future, static=roles.static,
        freq=str(series.frequency) if series.frequency else None, season=season, lookback=lookback, horizon=horizon,
        mean=means, std=deviations, categories=categories,
        static_mean=tuple(mean for mean, _ in static_scale), static_std=tuple(std for _, std in static_scale),
        mase_scale=tuple(_seasonal_difference(series, name, parts, season, scale[name][1]) for name in roles.targets),
        gaps=gaps,
    )  # fmt: skip


def mase_scale(preprocess: SeriesPreprocess) -> Tensor:
    """float32 [C], NaN where training rows a season apart do not differ."""
    import torch

    return torch.tensor([float("nan") if each is None else each for each in preprocess.mase_scale])


def _mean_and_deviation(series: Panel, name: str, parts: Parts) -> tuple[float, float]:
    values = np.concatenate([series.numbers[name][first:end] for first, end in parts])
    values = values[~np.isnan(values)]
    if not len(values):
        raise ZooError(
            f"{series.table.name}: column {name!r} has no value in the training rows; leave it out, or take another data.split."
        )
    if values.min() == values.max():  # not by its deviation, which rounding makes a little more than 0
        return float(values[0]), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(values.mean()), float(values.std())
    if not np.isfinite(mean + deviation):
        raise ZooError(
            f"{series.table.name}: column {name!r} has values of {values.min():g} to {values.max():g}, too large to be scaled; "
            "give it in another unit."
        )
    return mean, deviation if deviation > 0 else 1.0


def _seasonal_difference(series: Panel, name: str, parts: Parts, season: int, deviation: float) -> float | None:
    """Mean absolute difference of training rows a season apart, over the column's deviation; None if there is none."""
    total, count = 0.0, 0
    for first, end in parts:
        values = series.numbers[name][first:end]
        differences = np.abs(values[season:] - values[:-season]) if len(values) > season else values[:0]
        differences = differences[~np.isnan(differences)]
        total, count = total + float(differences.sum()), count + len(differences)
    return total / count / deviation if count and total > 0 else None


def _finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
