"""x W^T + b in training on a CPU, by oneDNN, whose float32 products use what the processor has.

What torch multiplies float32 matrices with on a CPU (MKL) holds back on processors that are not Intel's: on an AMD EPYC with
AVX-512 oneDNN takes half of its time, whatever the sizes, from some 64 rows on. Both ways go through it:

    y = x W^T        d x = g W        d W = g^T x = (x^T g)^T

Each of the three is such a product again, so there are gradients of any order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

# Multiply-adds, and rows, from which on its call, which takes longer, is worth it.
LEAST, ROWS = 2**22, 16
# What both sizes of a matrix must reach in a compiled program: torch joins narrower products with what is around them.
NARROW = 64
AVAILABLE = torch.backends.mkldnn.is_available()
PLAIN = (Tensor, nn.Parameter)
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., I], [O, I], [O] -> [..., O]: torch.nn.functional.linear."""
    if torch.compiler.is_compiling():
        return (compiled if _suits_a_program(x, weight, bias) else F.linear)(x, weight, bias)
    if not _suits(x, weight, bias):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and (
        x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return Product.apply(x, weight, bias)
    return _product(x, weight, bias)


def _suits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN multiplies what is computed at once: no small products, not while a program for others is traced, nor
    while somebody watches torch's own operations."""
    return (
        _is_large(x, weight)
        and _is_ours(x, weight, bias)
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()
    )


def _suits_a_program(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether a product of what torch.compile compiles is our operation: none of narrow matrices, nor what is known to be
    small. Where the number of rows is a symbol, to compare it would make a program for either answer: there the operation
    itself looks, when it has the number. Programs that are exported are for other machines."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # loads sympy

    return (
        not torch.compiler.is_exporting()
        and min(weight.shape) >= NARROW
        and not statically_known_true(x.numel() * weight.shape[0] < LEAST)
        and not statically_known_true(x.numel() < ROWS * weight.shape[1])
        and _is_ours(x, weight, bias)
    )


def _is_large(x: Tensor, weight: Tensor) -> bool:
    return x.numel() * weight.shape[0] >= LEAST and x.numel() >= ROWS * weight.shape[1]


def _is_ours(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Left to torch: other types and devices; sparse rows, as features of nodes are; autocast, which casts; transforms of
    functions and forward-mode gradients."""
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.layout == weight.layout == torch.strided
        and type(x) in PLAIN
        and type(weight) in PLAIN
        and (bias is None or bias.dtype == torch.float32)
        and bool(torch.backends.mkldnn.enabled)
        and AVAILABLE
        and not torch.is_autocast_enabled("cpu")
        and torch._C._functorch.get_dynamic_layer_stack_depth() == 0
        and forward_ad._current_level < 0
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, dense(weight), bias, "none", [], "")


def dense(weight: Tensor) -> Tensor:
    """The matrix row by row or column by column; for a piece of another one oneDNN has only its slow reference."""
    return weight if weight.is_contiguous() or weight.t().is_contiguous() else weight.contiguous()


def _gradients(product: Callable[..., Tensor], ctx: Any, *grads: Tensor) -> Gradients:
    (x, weight), (for_x, for_weight, for_bias) = ctx.saved_tensors, ctx.needs_input_grad
    g = grads[0].contiguous()
    rows, inputs = g.flatten(0, -2), x.flatten(0, -2)
    d_weight = None
    if for_weight:  # the narrower of the two is the one that is copied, column by column
        wide = weight.shape[0] > weight.shape[1]
        d_weight = product(inputs.t(), rows.t(), None).t() if wide else product(rows.t(), inputs.t(), None)
    return product(g, weight.t(), None) if for_x else None, d_weight, rows.sum(0) if for_bias else None


class Product(torch.autograd.Function):
    """What is computed at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Gradients:
        return _gradients(linear, ctx, *grads)


# Inside a compiled program an operation of ours: inductor takes oneDNN's own operation apart, and refuses it where the
# matrix, as in training, is no constant.
@torch.library.custom_op("zoo::product", mutates_args=())
def compiled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`linear` within a compiled program, forward and backward: by oneDNN if it is large when it runs, by torch if not."""
    if _is_large(x, weight):
        return _product(x, weight, bias)
    return F.linear(x, weight, bias).contiguous()


@compiled.register_fake
def _shape(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


compiled.register_autograd(partial(_gradients, compiled), setup_context=_keep)
