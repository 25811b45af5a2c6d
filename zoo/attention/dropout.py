"""Dropout that is fast on a CPU, where torch draws one number after another for `bernoulli_`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.declared import declared

FULL_RANGE = -(2**63)  # with no upper end: all 64 bits are random
#: How far k / 256 may be from p, as a share of p and of 1 - p.
TOLERANCE = 0.05


@declared
def byte_dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """x m / (1 - k/256) with m ~ Bernoulli(1 - k/256), k/256 the nearest to p: Srivastava et al. 2014, a byte a number.

    An eighth of a 64-bit draw decides on one number: on one core it takes a tenth of the time of `F.dropout`, and the way back
    keeps a byte a number in place of a float. The share that is dropped is k/256 and not p (p = .3: 77/256 = .3008); what is
    kept is scaled by that share, so the expectation is x exactly. Draws are those of torch's generator, one seed one mask,
    the same for any number of threads.

    It is `F.dropout` itself where that is as fast or has to be exact: on other devices, under torch.compile and export, and
    for rates of which k/256 is off by more than 5 % (below .01, about).

    Args:
        x: numbers of a floating type, any shape.
        p: probability of dropping one, 0 to 1.
        training: False gives x back.
    """
    if not training or p == 0:
        return x
    k = bytes_of(p)
    if k is None or x.device.type != "cpu" or not x.is_floating_point() or torch.compiler.is_compiling():
        return F.dropout(x, p)
    return _Dropped.apply(x, _kept(x.shape, k), 256 / (256 - k))


def bytes_of(p: float) -> int | None:
    """k with k/256 nearest to p; None where p is too far from it."""
    k = round(256 * p)
    return k if 0 < p < 1 and abs(k / 256 - p) <= TOLERANCE * min(p, 1 - p) else None


def _kept(shape: torch.Size, k: int) -> Tensor:
    """uint8, 0 with probability k/256, else 1. Bytes compared in place stay bytes: vectorised, as casts of bool are not."""
    words = torch.empty(-(-shape.numel() // 8), dtype=torch.int64).random_(FULL_RANGE, None)
    return words.view(torch.uint8)[: shape.numel()].view(shape).ge_(k)


class _Dropped(torch.autograd.Function):
    """x keep scale; of x nothing is saved."""

    @staticmethod
    def forward(x: Tensor, keep: Tensor, scale: float) -> Tensor:
        return keep.to(x.dtype).mul_(x).mul_(scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        _, keep, ctx.scale = inputs
        ctx.save_for_backward(keep)
        ctx.save_for_forward(keep)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,), (keep,) = grads, ctx.saved_tensors
        return _Dropped.apply(grad, keep, ctx.scale), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (keep,) = ctx.saved_tensors
        return _Dropped.apply(tangents[0], keep, ctx.scale)
