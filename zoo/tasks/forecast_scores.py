"""What forecasts are measured by, beside their loss."""

from typing import Any

import torch
from torch import Tensor

from zoo.models.series.heads import LEVELS, pinball

#: Measured of forecasts with quantiles.
OF_QUANTILES = ("crps", "wql", "coverage_80")


def scored(quantiles: Tensor, true: Tensor, scale: Any, channel: Tensor) -> dict[str, tuple[Tensor, float]]:
    """crps, wql and coverage_80 of quantiles [n, 9] at LEVELS, as (sum, what it is divided by)."""
    loss = 2 * pinball(quantiles, true, LEVELS).mean(-1)
    inside = (quantiles[:, 0] <= true) & (true <= quantiles[:, -1])
    found: dict[str, tuple[Tensor, float]] = {
        "crps": (loss.sum(dtype=torch.float64), len(true)),
        "coverage_80": (inside.sum(dtype=torch.float64), len(true)),
    }
    if scale.std is not None:
        std, mean = (
            torch.tensor(each, dtype=torch.float64, device=true.device)[channel] for each in (scale.std, scale.mean)
        )
        found["wql"] = (loss * std).sum(), float((true * std + mean).abs().sum())
    return found


def squared_error(made: Tensor, true: Tensor) -> Tensor:
    return (made - true).square()


def absolute_error(made: Tensor, true: Tensor) -> Tensor:
    return (made - true).abs()
