"""A static cache of keys and values: one buffer for the whole generation, so that a compiled step stays one graph."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.errors import ZooError


class KVCache(nn.Module):
    """Keys and values of one Attention, [batch, num_kv_heads, length, head_dim], and the place of each slot.

    Slots not yet written have place -1, which hides them. `ring=True` overwrites the oldest slots when it is full: for
    patterns that look back a bounded way. With Window(size) and n tokens at a time nothing that may be seen is lost
    where length >= size + n - 1 (the first of the n still looks back size - 1). Without it, a write beyond the end
    raises ZooError.

    What is kept has no gradient. A backward pass that would go through keys and values written with one raises ZooError;
    what was written under torch.no_grad() is a constant.
    """

    k: Tensor
    v: Tensor
    places: Tensor
    end: Tensor

    def __init__(
        self,
        batch: int,
        num_kv_heads: int,
        length: int,
        head_dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        ring: bool = False,
    ):
        super().__init__()
        if min(batch, num_kv_heads, length, head_dim) < 1:
            raise ZooError(f"A cache needs positive sizes; got {(batch, num_kv_heads, length, head_dim)}.")
        self.length, self.ring = length, ring
        shape = (batch, num_kv_heads, length, head_dim)
        self.register_buffer("k", torch.zeros(shape, dtype=dtype, device=device), persistent=False)
        self.register_buffer("v", torch.zeros(shape, dtype=dtype, device=device), persistent=False)
        self.register_buffer("places", torch.full((length,), -1, device=device), persistent=False)
        self.register_buffer("end", torch.zeros((), dtype=torch.long, device=device), persistent=False)
        self.context_length: int | None = None  # of a cross-attention: the context is projected once
        self.answered = False  # whether queries have looked at that context before
        self.cut = False  # whether something was written that asked for a gradient

    def reset(self) -> None:
        """Forget everything."""
        self.places.fill_(-1)
        self.end.zero_()
        self.context_length, self.answered, self.cut = None, False, False

    def next_places(self, n: int) -> Tensor:
        """The places [n] of the next n tokens."""
        return self.end + torch.arange(n, device=self.end.device)

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write [B, H_kv, n, D] at the next n places; return all keys, all values and the place of each slot."""
        n = k.shape[2]
        self._check(k, n)
        place = self.next_places(n)
        slot = place % self.length if self.ring else place
        self.k.index_copy_(2, slot, k.detach().to(self.k.dtype))
        self.v.index_copy_(2, slot, v.detach().to(self.v.dtype))
        self.places.index_copy_(0, slot, place)
        self.end += n
        self.cut = self.cut or (torch.is_grad_enabled() and (k.requires_grad or v.requires_grad))
        return *self.read(k), self.places

    def read(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and all values [B, H_kv, length, D], in the dtype of `like`, the new keys or queries."""
        k, v = self.k.to(like.dtype), self.v.to(like.dtype)
        if not (self.cut and torch.is_grad_enabled()):
            return k, v
        anchor = like if like.requires_grad else like.new_zeros((), requires_grad=True)
        return _constant(k, anchor), _constant(v, anchor)

    def _check(self, k: Tensor, n: int) -> None:
        if k.shape[:2] != self.k.shape[:2] or k.shape[3] != self.k.shape[3]:
            raise ZooError(f"The cache holds {list(self.k.shape)} [B, H_kv, length, D]; got keys {list(k.shape)}.")
        if n > self.length:
            raise ZooError(f"{n} tokens at once do not fit a cache of {self.length}: make it longer.")
        if self.ring or torch.compiler.is_compiling() or self.end.is_cuda:  # a look at `end` would wait for the GPU,
            return  # where index_copy_ itself refuses what lies outside
        if int(self.end) + n > self.length:
            raise ZooError(
                f"The cache is full: {int(self.end)} of {self.length} places are taken and {n} more came. "
                "Make it longer, or ring=True if the pattern is a window no longer than the cache."
            )


# Custom operations, so that a compiled step is one graph: only a backward pass that is run raises.


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
