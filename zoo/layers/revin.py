"""Reversible instance normalisation: each window by its own mean and deviation, which are given back with it."""

import torch
from torch import Tensor, nn

from zoo.declared import declared


@declared
class RevIN(nn.Module):
    """Each channel of each window, by what is observed of it.

        loc = sum_t m_t x_t / n,   scale = sqrt(sum_t m_t (x_t - loc)^2 / n + eps),   n = sum_t m_t
        normed = (x - loc) / scale,    and a forecast y of normed windows is y scale + loc in the input's units

    With `affine` normed is g (x - loc) / scale + b, g = exp(log_gain) of each channel; the loc and scale that are returned
    have g and b in them, so that the way back is the same, and divides by nothing: g is above 0 by construction.
    Nothing of a window stays on the module, which can be called again before the way back is gone (bug 19). In float32 or
    wider, whatever the input's dtype. A constant channel has scale sqrt(eps); one of which nothing is observed loc 0, scale 1.

    Args:
        channels: C, for `affine`.
        affine: learn g and b of each channel.
        eps: added to the variance.
        hide: unobserved cells are 0 in `normed`, as the mean is, whatever they hold; else they are normed as they are.

    Shapes: x [B, L, C], observed [B, L, C] bool or None (all) -> normed [B, L, C] of x's dtype, loc and scale [B, 1, C].
    Source: Kim et al. 2022, who keep the statistics on the module and divide by g + eps^2 on the way back.
    """

    def __init__(self, channels: int = 0, affine: bool = False, eps: float = 1e-5, hide: bool = True):
        super().__init__()
        self.eps, self.hide = eps, hide
        self.log_gain = nn.Parameter(torch.zeros(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        if observed is None:
            variance, loc = torch.var_mean(wide, 1, keepdim=True, correction=0)
            scale = (variance + self.eps).sqrt()
        else:
            count = observed.sum(1, keepdim=True)
            n = count.clamp(min=1)
            loc = wide.masked_fill(~observed, 0).sum(1, keepdim=True) / n
            variance = (wide - loc).masked_fill(~observed, 0).pow(2).sum(1, keepdim=True) / n
            scale = (variance + self.eps).sqrt().masked_fill(count == 0, 1.0)
        if self.log_gain is not None and self.bias is not None:
            scale = scale * torch.exp(-self.log_gain).to(wide.dtype)
            loc = loc - self.bias.to(wide.dtype) * scale
        normed = (wide - loc) / scale
        if observed is not None and self.hide:
            normed = normed.masked_fill(~observed, 0)
        return normed.to(x.dtype), loc, scale
