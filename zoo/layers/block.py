"""One transformer block, in both orders of the literature.

pre-norm     Y = X + MHA(LN X);    Z = Y + FFN(LN Y)                      Xiong et al. 2020, figure 1b
post-norm    T2 = X + MHA(X);      T3 = LN T2
             T5 = T3 + FFN(T3);    H = LN T5                              Vaswani et al. 2017, section 3.1
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from zoo.declared import declared

Branch = Callable[[Tensor], Tensor]


@declared
def pre_norm(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch) -> Tensor:
    """x + branch(sublayer(norm(x))): the stream itself is never normalised."""
    return x + branch(sublayer(norm(x)))


@declared
def post_norm(x: Tensor, norm: nn.Module, sublayer: Branch, branch: Branch) -> Tensor:
    """norm(x + branch(sublayer(x)))."""
    return norm(x + branch(sublayer(x)))


class LayerScale(nn.Module):
    """gamma * x, gamma [dim] starting small. Touvron et al. 2021 (CaiT), section 2."""

    def __init__(self, dim: int, init: float = 1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """An attention and a feed-forward on a residual stream [B, N, dim].

    Args:
        attn, mlp: the sublayers. norm: factory, called with dim twice.
        order: `pre_norm` or `post_norm`, or another function of (x, norm, sublayer, branch).
        layer_scale: start of a learned gain on each branch; None for none.
        drop_path: probability of leaving a branch out for a sample, in training (Huang et al. 2016; timm's DropPath).

    The stream can be read at each step by hooks on named modules: the input of `attn`'s norm, the outputs of `norm1`,
    `attn`, `norm2`, `mlp` and of the block; `zoo.inspect.record_residual` collects them.
    """

    def __init__(
        self,
        dim: int,
        attn: nn.Module,
        mlp: nn.Module,
        *,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        order: Callable[..., Tensor] = pre_norm,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.order = order
        self.norm1, self.attn = norm(dim), attn
        self.branch1 = _branch(dim, layer_scale, drop_path)
        self.norm2, self.mlp = norm(dim), mlp
        self.branch2 = _branch(dim, layer_scale, drop_path)

    def forward(self, x: Tensor, **how) -> Tensor:
        """`how` (pattern, pos, cache, context) goes to the attention."""
        attn = partial(self.attn, **how) if how else self.attn
        x = self.order(x, self.norm1, attn, self.branch1 or _same)
        return self.order(x, self.norm2, self.mlp, self.branch2 or _same)


def _branch(dim: int, layer_scale: float | None, drop_path: float) -> nn.Module | None:
    parts: list[nn.Module] = []
    if layer_scale is not None:
        parts.append(LayerScale(dim, layer_scale))
    if drop_path:
        from timm.layers import DropPath  # here, since importing timm takes seconds

        parts.append(DropPath(drop_path))
    return nn.Sequential(*parts) if parts else None


def _same(x: Tensor) -> Tensor:
    return x
