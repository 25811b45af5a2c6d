"""RoPE: queries and keys are turned by angles in proportion to their places, so q.k depends on the distance alone."""

import torch
from torch import Tensor

from zoo.attention.positions.base import Position
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class RoPE(Position):
    """(x_2i, x_2i+1) turned by pos * base^(-2i/D). Su et al. 2021, section 3.2.2.

    `halves=True` pairs (x_i, x_i+D/2) instead, as Llama and GPT-NeoX checkpoints do: the same up to a permutation of
    the width. Angles and the turn itself are computed in float32 or wider, whatever the model's dtype (C8).
    """

    def __init__(self, head_dim: int, base: float = 10000.0, halves: bool = False):
        super().__init__()
        if head_dim % 2:
            raise ZooError(f"RoPE turns pairs: head_dim must be even; got {head_dim}.")
        self.head_dim, self.base, self.halves = head_dim, base, halves

    def rotate(self, x, pos):
        exponent = torch.arange(0, self.head_dim, 2, device=x.device, dtype=_wide(x)) / self.head_dim
        return apply_rotary(x, pos.to(_wide(x)).unsqueeze(-1) * self.base**-exponent, self.halves)


def apply_rotary(x: Tensor, angle: Tensor, halves: bool = False) -> Tensor:
    """Turn pairs of x [B, H, N, D] by angle [N, D/2] or [B, N, D/2]."""
    if angle.ndim == 3:
        angle = angle.unsqueeze(1)  # a place for each sample, the same for all heads
    cos, sin = angle.cos(), angle.sin()
    split = (
        (lambda y: y.unflatten(-1, (2, -1)).unbind(-2)) if halves else (lambda y: y.unflatten(-1, (-1, 2)).unbind(-1))
    )
    a, b = split(x.to(cos.dtype))
    turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -2 if halves else -1)
    return turned.flatten(-2).to(x.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
