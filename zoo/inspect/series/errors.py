"""Errors of forecasts summed over windows: by group of windows, step of the horizon and channel, over observed cells alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

#: A batch of windows -> forecasts [B, H, C] in the units of `past_values`.
Forecasts = Callable[[Mapping[str, Tensor]], Tensor]
BATCH = 256


class Errors:
    """Squared and absolute errors, in float64.

    Args:
        groups, horizon, channels: sizes of what is kept apart.

    Attributes:
        squared, absolute, count: sums over windows [groups, H, C]; count: cells that were observed.
        windows: mean squared error of each window, in the order of `add`; NaN where none of its cells was observed.
    """

    def __init__(self, groups: int, horizon: int, channels: int):
        self.squared, self.absolute, self.count = torch.zeros(3, groups, horizon, channels, dtype=torch.float64)
        self._windows: list[Tensor] = []

    def add(self, mean: Tensor, target: Tensor, observed: Tensor, group: Tensor | None = None) -> None:
        """Forecasts, what came and where it was observed [B, H, C]; the group of each window [B], 0 where none is given."""
        wrong = (mean - target).double().where(observed, 0).cpu()
        seen = observed.double().cpu()
        group = torch.zeros(len(wrong), dtype=torch.long) if group is None else group
        self.squared.index_add_(0, group, wrong.square())
        self.absolute.index_add_(0, group, wrong.abs())
        self.count.index_add_(0, group, seen)
        self._windows.append(wrong.square().sum((1, 2)) / seen.sum((1, 2)))

    @property
    def windows(self) -> Tensor:
        return torch.cat(self._windows) if self._windows else torch.zeros(0, dtype=torch.float64)

    def mse(self, *kept: int) -> Tensor:
        """Mean squared error over all observed cells; `kept`: the axes (0 group, 1 step, 2 channel) that are kept apart.
        NaN where nothing was observed."""
        return self._mean(self.squared, kept)

    def mae(self, *kept: int) -> Tensor:
        """Mean absolute error likewise."""
        return self._mean(self.absolute, kept)

    def _mean(self, sums: Tensor, kept: tuple[int, ...]) -> Tensor:
        others = [axis for axis in range(3) if axis not in kept]
        if not others:
            return sums / self.count
        return sums.sum(others) / self.count.sum(others)


def batches(dataset: Any, rows: Iterable[int] | None = None, size: int = BATCH) -> Iterator[dict[str, Tensor]]:
    """All windows of a data set, or these of them, in order."""
    data = dataset if rows is None else torch.utils.data.Subset(dataset, list(rows))
    yield from DataLoader(data, batch_size=size)


@torch.no_grad()
def forecasts_of(model: Any) -> Forecasts:
    """The means that a model forecasts, in eval mode; on the CPU."""
    device = next(model.parameters()).device
    model.eval()

    def forecast(batch: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            return model.forward(*model.inputs(moved(batch, device))).mean.float().cpu()

    return forecast


def measure(
    forecasters: Mapping[str, Forecasts], dataset: Any, groups: Tensor | None = None, size: int = BATCH
) -> dict[str, Errors]:
    """The errors of each forecaster on all windows of a data set, in one pass.

    Args:
        forecasters: by name.
        dataset: of windows.
        groups: of each window, from 0 on; None: one group.
        size: windows at a time; the figures do not depend on it.
    """
    found: dict[str, Errors] = {}
    begin, n = 0, 1 if groups is None else int(groups.max()) + 1
    for batch in batches(dataset, size=size):
        target, observed = batch["future_values"], observed_of(batch, "future")
        group = None if groups is None else groups[begin : begin + len(target)]
        begin += len(target)
        for name, forecast in forecasters.items():
            errors = found.setdefault(name, Errors(n, *target.shape[1:]))
            errors.add(forecast(batch), target, observed, group)
    return found


def observed_of(batch: Mapping[str, Tensor], part: str) -> Tensor:
    """Where the values of "past" or "future" were observed, bool of their shape; everywhere where a batch does not say."""
    found = batch.get(f"{part}_observed_mask")
    return torch.ones_like(batch[f"{part}_values"], dtype=torch.bool) if found is None else found


def moved(batch: Mapping[str, Tensor], device: Any) -> dict[str, Tensor]:
    """A batch on a device."""
    return {key: value.to(device) for key, value in batch.items()}


def notable(errors: Tensor) -> dict[str, int]:
    """Windows worth a look by their errors: the first, the last, the best, the median, the worst of those with errors.

    One window may be several of these; of a set without any observed window first and last are left.
    """
    known = errors.isfinite().nonzero()[:, 0]
    found = {"first": 0, "last": len(errors) - 1}
    if len(known):
        order = known[errors[known].argsort()]
        found |= {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}
    return found
