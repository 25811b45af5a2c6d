"""Products of a matrix of weights with narrow heads, laid out so that a CPU's matrix product is fast both ways.

Heads that are 4 or 8 wide make products of [N, N] with [N, 4]. Written as they stand in the equation, the way back takes
several times as long as the way there. Turned over, so that what is wide stands on the right, each takes the time of reading
its matrix (42 tokens, 4 wide: 13 ms against 2). On wider heads there is no difference.

    outer(q, k) = q k^T       d q = mix(g, k)      d k = gather(g, q)         and the same on a bias, of which d is g
    mix(w, v) = w v           d w = outer(g, v)    d v = gather(w, g)
    gather(w, u) = w^T u      d w = outer(u, g)    d u = mix(w, g)

The three are each other's derivatives: gradients of any order are among them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

NARROW = 8


def scores(q: Tensor, k: Tensor) -> Tensor:
    """q k^T: [..., Q, D], [..., K, D] -> [..., Q, K]."""
    return Outer.apply(q, k) if _is_narrow(q, k) else q @ k.transpose(-2, -1)


def scores_on(bias: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """bias + q k^T in one pass: [B, H, Q, K], [B, H, Q, D], [B, H, K, D] -> [B, H, Q, K]."""
    return OuterOn.apply(bias, q, k) if _is_narrow(q, k) else _on(bias, q, k)


def mixed(weights: Tensor, v: Tensor) -> Tensor:
    """w v: [..., Q, K], [..., K, D] -> [..., Q, D]."""
    return Mix.apply(weights, v) if _is_narrow(v, weights) else weights @ v


def _is_narrow(x: Tensor, other: Tensor) -> bool:
    """Whether the width of x is a narrow head's. Left to torch: what broadcasts, since gradients would have to be summed;
    autocast, which casts what goes into a product of torch's; programs for others; forward-mode gradients, for which a
    compiler cannot trace a function."""
    return (
        x.shape[-1] <= NARROW
        and x.device.type == "cpu"
        and x.shape[:-2] == other.shape[:-2]
        and x.dtype == other.dtype
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_exporting()
        and forward_ad._current_level < 0
    )


class _Product(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)


class Outer(_Product):
    @staticmethod
    def forward(q: Tensor, k: Tensor) -> Tensor:
        return q @ k.transpose(-2, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (g,), (q, k), (wants_q, wants_k) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return Mix.apply(g, k) if wants_q else None, Gather.apply(g, q) if wants_k else None


def _on(bias: Tensor, q: Tensor, k: Tensor) -> Tensor:
    size = bias.shape
    return torch.baddbmm(bias.flatten(0, -3), q.flatten(0, -3), k.flatten(0, -3).mT).view(size)


class OuterOn(_Product):
    @staticmethod
    def forward(bias: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return _on(bias, q, k)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (g,), (q, k), (wants_bias, wants_q, wants_k) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return g if wants_bias else None, Mix.apply(g, k) if wants_q else None, Gather.apply(g, q) if wants_k else None


class Mix(_Product):
    @staticmethod
    def forward(w: Tensor, v: Tensor) -> Tensor:
        return (v.transpose(-2, -1) @ w.transpose(-2, -1)).transpose(-2, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (g,), (w, v), (wants_w, wants_v) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return Outer.apply(g, v) if wants_w else None, Gather.apply(w, g) if wants_v else None


class Gather(_Product):
    @staticmethod
    def forward(w: Tensor, u: Tensor) -> Tensor:
        return (u.transpose(-2, -1) @ w).transpose(-2, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (g,), (w, u), (wants_w, wants_u) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return Outer.apply(u, g) if wants_w else None, Mix.apply(w, g) if wants_u else None
