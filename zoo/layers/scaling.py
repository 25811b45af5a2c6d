"""How transformers' forecasters scale a window: `RevIN` with another fallback, and by the mean of absolute values."""

import torch
from torch import Tensor, nn

from zoo.declared import declared


@declared
class StdScale(nn.Module):
    """(x - loc) / scale with the mean and deviation of what is observed; other cells are scaled as they stand.

        loc = sum_t m_t x_t / n,   scale = sqrt(sum_t m_t (x_t - loc)^2 / n + eps),   n = max(sum_t m_t, 1)

    Shapes as of `RevIN`, from which it differs where a channel is not observed at all: its scale is sqrt(eps).
    """

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        seen = torch.ones_like(x) if observed is None else observed.to(x.dtype)
        n = seen.sum(1, keepdim=True).clamp(min=1)
        loc = (x * seen).sum(1, keepdim=True) / n
        scale = (((x - loc) * seen).square().sum(1, keepdim=True) / n + self.eps).sqrt()
        return (x - loc) / scale, loc, scale


@declared
class MeanScale(nn.Module):
    """x / scale, scale = sum_t m_t |x_t| / max(sum_t m_t, 1), at least `least`; loc is 0. Salinas et al. 2020, section 3.3.

    A channel of which nothing is observed in a window gets the mean of its scales over the batch, as transformers has it: there
    alone a forecast depends on its batch.
    """

    def __init__(self, least: float = 1e-10):
        super().__init__()
        self.least = least

    def forward(self, x: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        seen = torch.ones_like(x) if observed is None else observed.to(x.dtype)
        total, n = (x * seen).abs().sum(1, keepdim=True), seen.sum(1, keepdim=True)
        usual = total.sum(0, keepdim=True) / n.sum(0, keepdim=True).clamp(min=1)
        scale = torch.where(n > 0, total / n.clamp(min=1), usual).clamp(min=self.least)
        return x / scale, torch.zeros_like(scale), scale


__all__ = ["MeanScale", "StdScale"]
