"""What a forecaster is held against: the last value, the last season, a ridge regression. Each is a function of windows.

    for name, forecast in baselines(data).items():
        forecast(batch)                            # [B, H, C], on the batch's scale
    score(baselines(data), data.dataset("test"), data.mase_scale)

A window is a dict of tensors as data modules of series make them; what was not observed in it counts nowhere.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Window = Mapping[str, Tensor]
Forecasts = Callable[[Window], Tensor]

BATCH = 256  # windows that are looked at together
#: Penalties that are tried, times the mean square of a feature.
PENALTIES = tuple(10.0**k for k in range(-6, 3))


def repeat_last(batch: Window) -> Tensor:
    """The last observed value, at every step; 0, the mean of training, where none was."""
    past, horizon = batch["past_values"], batch["future_values"].shape[1]
    return _last(past, _observed(batch, "past"))[0].expand(-1, horizon, -1)


@dataclass(frozen=True)
class SeasonalNaive:
    """The value a season before; where that was not observed two seasons before, and so on, at last the last value.

    Args:
        season: steps of a season, at most the lookback.
    """

    season: int

    def __call__(self, batch: Window) -> Tensor:
        past, horizon, s = batch["past_values"], batch["future_values"].shape[1], self.season
        seasons = past.shape[1] // s
        values, there = (
            x[:, -seasons * s :].unflatten(1, (seasons, s)) for x in (past, _observed(batch, "past"))
        )  # [B, seasons, s, C]
        number = torch.arange(seasons, device=past.device).view(1, -1, 1, 1)
        latest = torch.where(there, number, -1).amax(1, keepdim=True)
        found = values.gather(1, latest.clamp(min=0)).squeeze(1)  # [B, s, C]
        found = torch.where(latest.squeeze(1) >= 0, found, repeat_last(batch)[:, :1])
        return found[:, torch.arange(horizon, device=past.device) % s]


@dataclass(frozen=True, eq=False)
class Linear:
    """y - last = W (x - last): one linear map for all channels, from a window minus its last value; gaps are interpolated.

    Args:
        weight: [L, H].
        penalty: what it was chosen with, times the mean square of a feature.
    """

    weight: Tensor
    penalty: float

    def __call__(self, batch: Window) -> Tensor:
        x, last = features(batch)
        return (x @ self.weight.to(x)).transpose(1, 2) + last


@dataclass(eq=False)
class Moments:
    """Sums over windows and channels, which are all that a ridge regression needs: constant memory."""

    xx: Tensor
    xy: Tensor
    yy: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, batches: Iterator[Window], lookback: int, horizon: int) -> "Moments":
        """Of the windows' channels whose every future value was observed."""
        made = cls(torch.zeros(lookback, lookback).double(), torch.zeros(lookback, horizon).double())
        for batch in batches:
            x, last = features(batch)
            y = (batch["future_values"] - last).transpose(1, 2)
            whole = _observed(batch, "future").all(1) & _observed(batch, "past").any(1)  # [B, C]
            x, y = x[whole].double(), y[whole].double()
            made.xx.addmm_(x.T, x)
            made.xy.addmm_(x.T, y)
            made.yy += float(y.square().sum())
            made.count += len(x)
        return made

    def error(self, weight: Tensor) -> float:
        """The sum of squared errors of a map."""
        return self.yy + float(((self.xx @ weight - 2 * self.xy) * weight).sum())


def fit_linear(train: Iterator[Window], val: Iterator[Window], lookback: int, horizon: int) -> Linear | None:
    """The ridge regression in closed form, with the penalty of least error on validation windows; None without a window to
    learn from.

        W = (X'X + n p s I)^-1 X'Y,    s = tr(X'X) / (n L)

    Args:
        train, val: batches of windows. Without validation windows p is .01.
    """
    moments, held = Moments.of(train, lookback, horizon), Moments.of(val, lookback, horizon)
    if not moments.count:
        return None
    values, vectors = torch.linalg.eigh(moments.xx)
    turned, unit = vectors.T @ moments.xy, float(moments.xx.trace()) / lookback or 1.0
    found = {p: vectors @ (turned / (values.clamp(min=0) + p * unit).unsqueeze(1)) for p in PENALTIES}
    best = min(found, key=lambda p: held.error(found[p])) if held.count else 0.01
    return Linear(found[best].float(), best)


def baselines(data: Any) -> dict[str, Forecasts]:
    """repeat_last, seasonal_naive, linear, fitted on the training windows of a data module; made once.

    seasonal_naive is left out where a season is longer than the lookback, linear where no training window is whole.
    """
    if (made := vars(data).get("_baselines")) is None:
        spec, made = data.spec, {"repeat_last": repeat_last}
        if spec.season <= spec.lookback:
            made["seasonal_naive"] = SeasonalNaive(spec.season)
        train, val = (batches(data.dataset(stage)) for stage in ("train", "val"))
        if (linear := fit_linear(train, val, spec.lookback, spec.horizon)) is not None:
            made["linear"] = linear
        data._baselines = made
    return dict(made)


def score(
    forecasts: Mapping[str, Forecasts], dataset: Any, mase_scale: Tensor | None = None
) -> dict[str, dict[str, float]]:
    """mse, mae and mase of each over the observed cells of all windows, as `zoo.tasks.Forecasting` logs them.

    Args:
        mase_scale: [C], NaN for channels that are left out; None: no mase.
    """
    names = ("mse", "mae") if mase_scale is None else ("mse", "mae", "mase")
    sums = {each: dict.fromkeys(names, 0.0) for each in forecasts}
    counts = dict.fromkeys(names, 0)
    for batch in batches(dataset):
        there = _observed(batch, "future")
        counts["mse"] += int(there.sum())
        counts["mae"] = counts["mse"]
        scaled = there if mase_scale is None else there & mase_scale.isfinite()
        counts |= {} if mase_scale is None else {"mase": counts["mase"] + int(scaled.sum())}
        for name, forecast in forecasts.items():
            error = (forecast(batch) - batch["future_values"]).abs().double()
            found = {"mse": error[there].square().sum(), "mae": error[there].sum()}
            if mase_scale is not None:
                found["mase"] = (error / mase_scale)[scaled].sum()
            for each, total in found.items():
                sums[name][each] += float(total)
    return {
        name: {each: total / counts[each] for each, total in of.items() if counts[each]} for name, of in sums.items()
    }


# ---- windows


def batches(dataset: Any, size: int = BATCH) -> Iterator[Window]:
    """All windows of a data set in order."""
    for first in range(0, len(dataset), size):
        yield dataset.batch(torch.arange(first, min(first + size, len(dataset))))


def features(batch: Window) -> tuple[Tensor, Tensor]:
    """([B, C, L] values minus the last one, gaps interpolated, [B, 1, C] the last one)."""
    past, observed = batch["past_values"], _observed(batch, "past")
    last, at = _last(past, observed)
    if not bool(observed.all()):
        n = past.shape[1]
        place = torch.arange(n, device=past.device).view(1, -1, 1)
        after = torch.where(observed, place, n).flip(1).cummin(1).values.flip(1)  # the next observed place, n: none
        before = torch.where(observed, place, -1).cummax(1).values
        left, right = torch.where(before < 0, after, before), torch.where(after == n, before, after)
        left, right = left.clamp(0, n - 1), right.clamp(0, n - 1)  # of nothing observed any will do
        share = (place - left) / (right - left).clamp(min=1)
        past = torch.lerp(past.gather(1, left), past.gather(1, right), share.clamp(0, 1).to(past))
        past = past.masked_fill(at < 0, 0)
    return (past - last).transpose(1, 2), last


def _last(past: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """([B, 1, C] the last observed value, its place; 0 and -1 where there is none)."""
    place = torch.arange(past.shape[1], device=past.device).view(1, -1, 1)
    at = torch.where(observed, place, -1).amax(1, keepdim=True)
    return past.gather(1, at.clamp(min=0)).masked_fill(at < 0, 0), at


def _observed(batch: Window, which: str) -> Tensor:
    found = batch.get(f"{which}_observed_mask")
    return torch.ones_like(batch[f"{which}_values"], dtype=torch.bool) if found is None else found
