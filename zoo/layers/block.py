"""One transformer block, in the orders of the literature.

pre-norm     Y = X + MHA(LN X);    Z = Y + FFN(LN Y)                      Xiong et al. 2020, figure 1b
parallel     Y = X + MHA(LN X);    Z = Y + FFN(LN X)                      Wang and Komatsuzaki 2021 (GPT-J); GPT-NeoX, Phi
res-post     Y = X + LN(MHA(X));    Z = Y + LN(FFN(Y))                      Liu et al. 2022 (Swin v2), section 3.2
post-norm    T2 = X + MHA(X);      T3 = LN T2
             T5 = T3 + FFN(T3);    H = LN T5                              Vaswani et al. 2017, section 3.1
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.declared import declared
from zoo.errors import ZooError

Branch = Callable[[Tensor], Tensor]


@declared
def pre_norm(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch) -> Tensor:
    """x + branch(sublayer(norm(x))): the stream itself is never normalised."""
    return x + branch(sublayer(norm(x)))


@declared
def post_norm(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch) -> Tensor:
    """norm(x + branch(sublayer(x)))."""
    return norm(x + branch(sublayer(x)))


@declared
def res_post_norm(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch) -> Tensor:
    """x + branch(norm(sublayer(x))): what is added is normalised, so that the stream grows with depth alone."""
    return x + branch(norm(sublayer(x)))


@declared
def parallel(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch, start: Tensor) -> Tensor:
    """x + branch(sublayer(norm(start))): every sublayer reads the block's input, so that none waits for another."""
    return x + branch(sublayer(norm(start)))


class LayerScale(nn.Module):
    """gamma * x, gamma [dim] starting small. Touvron et al. 2021 (CaiT), section 2."""

    def __init__(self, dim: int, init: float = 1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """Sublayers on a residual stream [B, N, dim], each with a norm and a residual: an attention and a feed-forward, or a
    decoder's three.

        Block(dim, Attention(dim), FeedForward(dim, 4 * dim))                                       # attn, mlp
        Block(dim, self_attn=Attention(...), cross_attn=Attention(...), mlp=FeedForward(...))       # a decoder's

    Args:
        dim: width of the stream.
        attn_mlp: the two sublayers of an encoder, under the names `attn` and `mlp`.
        norm: factory, called with dim for each sublayer.
        order: `pre_norm`, `post_norm`, `res_post_norm` or `parallel`, or another function of (x, norm, sublayer, branch); one
            that takes `start` too is given the block's input.
        shared_norm: one norm, `norm1`, before every sublayer (Phi), in place of one each.
        layer_scale: start of a learned gain on each branch; None for none.
        drop_path: probability of leaving a branch out for a sample, in training (Huang et al. 2016).
        sublayers: others, by names of your own, in order.

    The stream can be read at each step by hooks on named modules: the input of the first norm, the outputs of `norm1`,
    `attn`, `norm2`, `mlp` and of the block; `zoo.inspect.record_residual` collects them.

    Raises:
        ZooError: a sublayer that is not a module, or whose name the block uses itself.
    """

    def __init__(
        self,
        dim: int,
        *attn_mlp: nn.Module,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        order: Callable[..., Tensor] = pre_norm,
        shared_norm: bool = False,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        **sublayers: nn.Module,
    ):
        super().__init__()
        self.order, self.shared_norm = order, shared_norm
        self.from_start = "start" in inspect.signature(order).parameters
        given = dict(zip(("attn", "mlp"), attn_mlp, strict=False)) | sublayers
        self.names = tuple(given)
        for i, (name, layer) in enumerate(given.items(), 1):
            if not isinstance(layer, nn.Module) or hasattr(self, name):
                raise ZooError(
                    f"{name}={layer!r} is not a sublayer of a Block: give a module, under a name of its own."
                )
            if i == 1 or not shared_norm:
                setattr(self, f"norm{i}", norm(dim))
            setattr(self, name, layer)
            setattr(self, f"branch{i}", _branch(dim, layer_scale, drop_path))

    def forward(self, x: Tensor, **how: Any) -> Tensor:
        """[B, N, dim] -> [B, N, dim]. Keywords go to the first sublayer (pattern, pos, cache, context of an attention); one
        that is a sublayer's name holds that sublayer's: `block(x, pattern=Causal(), cross_attn=dict(context=y))`."""
        own = {name: how.pop(name) for name in self.names if name in how}
        own[self.names[0]] = {**how, **own.get(self.names[0], {})}
        more = {"start": x} if self.from_start else {}
        for i, name in enumerate(self.names, 1):
            layer, branch = getattr(self, name), getattr(self, f"branch{i}")
            norm = self.norm1 if self.shared_norm else getattr(self, f"norm{i}")
            given = own.get(name)
            x = self.order(x, norm, partial(layer, **given) if given else layer, branch or _same, **more)
        return x


def _branch(dim: int, layer_scale: float | None, drop_path: float) -> nn.Module | None:
    parts: list[nn.Module] = []
    if layer_scale is not None:
        parts.append(LayerScale(dim, layer_scale))
    if drop_path:
        from torchvision.ops import StochasticDepth  # timm's DropPath is the same, and importing timm takes seconds

        parts.append(StochasticDepth(drop_path, "row"))
    return nn.Sequential(*parts) if parts else None


def _same(x: Tensor) -> Tensor:
    return x
