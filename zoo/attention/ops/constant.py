"""A tensor whose gradient is refused: what a cache hands out, where a gradient of 0 would be silently wrong.

Custom operations, so that a compiled step is one graph: only a backward pass that is run raises.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import ZooError


def refusing(x: Tensor, like: Tensor) -> Tensor:
    """x, through which no backward pass goes: it raises ZooError; `like` is what the pass would go on to."""
    return _constant(x, like if like.requires_grad else like.new_zeros((), requires_grad=True))


@torch.library.custom_op("zoo::constant", mutates_args=())
def _constant(x: Tensor, anchor: Tensor) -> Tensor:
    """x; its gradient goes to `anchor`, where it is refused, instead of being 0."""
    return x.clone()


@torch.library.custom_op("zoo::refuse_gradient", mutates_args=())
def _refuse_gradient(grad: Tensor, shape: Sequence[int]) -> Tensor:
    raise ZooError(
        "A cache keeps keys and values without their gradients, so nothing can be trained through it: train on whole "
        "sequences without a cache, or fill it under torch.no_grad() if what it holds is to be a constant."
    )


@_constant.register_fake
def _(x, anchor):
    return torch.empty_like(x)


@_refuse_gradient.register_fake
def _(grad, shape):
    return grad.new_empty(shape)


def _remember_shape(ctx, inputs, output):
    ctx.shape = list(inputs[1].shape)


_constant.register_autograd(lambda ctx, grad: (None, _refuse_gradient(grad, ctx.shape)), setup_context=_remember_shape)
