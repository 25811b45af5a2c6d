"""Norms that torch has not."""

import torch
from torch import Tensor, nn

from zoo.declared import declared


@declared
class CentredRMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * (1 + weight), the weight around 0, as in Gemma. RMSNorm: Zhang and Sennrich 2019.

    In float32 or wider, rounded once at the end: in bfloat16 1 + weight would lose most of a small weight.
    """

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        normed = wide * (wide.pow(2).mean(-1, keepdim=True) + self.eps).rsqrt()
        return (normed * (1.0 + self.weight.to(wide.dtype))).to(x.dtype)
