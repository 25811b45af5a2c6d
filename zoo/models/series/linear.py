"""DLinear and NLinear: one linear map from lookback to horizon, shared by the channels. Zeng et al. 2023, section 4."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers.gaps import carry_forward
from zoo.layers.revin import RevIN
from zoo.models.series.base import Forecast, Forecaster, Window
from zoo.models.series.heads import Head


class _Linear(Forecaster):
    """What both share: maps of whole windows to horizon * head.width numbers, the same for every channel."""

    def _map(self) -> nn.Linear:
        return nn.Linear(self.lookback, self.horizon * self.head.width)

    def _steps(self, raw: Tensor) -> Tensor:
        """[B, C, H * width] -> [B, H, C, width]"""
        return raw.unflatten(-1, (self.horizon, self.head.width)).transpose(1, 2)


@declared
class DLinear(_Linear):
    """y = W_seasonal (x - trend) + b_seasonal + W_trend trend + b_trend.

    The trend is a moving average of `kernel_size` steps around each, with the first and last value repeated beyond the ends.

    Args:
        channels, lookback, horizon, head: see `Forecaster`.
        kernel_size: steps that are averaged.
        revin: norm each window by its own mean and deviation.

    Raises: ZooError for a kernel_size below 1.
    """

    def __init__(
        self,
        channels: int,
        lookback: int,
        horizon: int,
        *,
        kernel_size: int = 25,
        revin: bool = False,
        head: Head | None = None,
    ):
        super().__init__(channels, lookback, horizon, head)
        if kernel_size < 1:
            raise ZooError(f"model.kernel_size={kernel_size}: a moving average is of 1 step or more.")
        self.kernel_size = kernel_size
        self.revin = RevIN() if revin else None
        self.proj = nn.ModuleDict({"seasonal": self._map(), "trend": self._map()})

    def forward_window(self, window: Window) -> Forecast:
        x, loc, scale = carry_forward(window.past_values, window.past_observed_mask), None, None
        if self.revin is not None:
            _, loc, scale = self.revin(window.past_values, window.past_observed_mask)
            x = ((x - loc) / scale).to(x.dtype)
        x = x.transpose(1, 2)
        trend = self.trend(x)
        raw = self.proj["seasonal"](x - trend) + self.proj["trend"](trend)
        return self.head(self._steps(raw), loc, scale)

    def trend(self, x: Tensor) -> Tensor:
        """[B, C, L] -> the moving average around each step, [B, C, L]."""
        before = (self.kernel_size - 1) // 2
        padded = F.pad(x, (before, self.kernel_size - 1 - before), mode="replicate")
        return F.avg_pool1d(padded, self.kernel_size, 1)


@declared
class NLinear(_Linear):
    """y = W (x - x_L) + b + x_L, x_L being the last value, the one observed last where there are gaps.

    Args:
        channels, lookback, horizon, head: see `Forecaster`.
    """

    def __init__(self, channels: int, lookback: int, horizon: int, *, head: Head | None = None):
        super().__init__(channels, lookback, horizon, head)
        self.proj = self._map()

    def forward_window(self, window: Window) -> Forecast:
        x = carry_forward(window.past_values, window.past_observed_mask)
        last = x[:, -1:]
        raw = self._steps(self.proj((x - last).transpose(1, 2)))
        return self.head(raw, last, torch.ones_like(last))
