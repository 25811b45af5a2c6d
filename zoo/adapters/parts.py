"""What an adapter adds to a linear map: a low-rank map of its input, or a bottleneck on its output."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers.graph import FeatureDropout


class Part(nn.Module):
    """Base class: (x [..., in], y [..., n]) -> what is added to y, with y = W x + b the rows that it adapts.

    Args:
        in_features, out_features: of those rows, in and n.
        rank: width in between, r.
        scale: factor on what is added.
        dropout: rate, of what the part reads, in training.

    `reads`: the size of what `a` reads, by (in, n). What `b` starts with is zero, so an adapter begins with no effect.
    """

    kind: ClassVar[str]

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float, dropout: float = 0.0):
        super().__init__()
        self.rank, self.scale = rank, scale
        self.drop = FeatureDropout(dropout) if dropout else None  # of a sparse matrix the values alone
        self.a = nn.Parameter(torch.empty(rank, self.width(in_features, out_features)))
        self.b = nn.Parameter(torch.zeros(out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    @staticmethod
    def width(in_features: int, out_features: int) -> int:
        """The columns of `a`; each kind says."""
        raise NotImplementedError("a kind of adapter says how wide `a` is: define width(in_features, out_features).")


class LoRA(Part):
    """scale B A x: a map of rank r. Hu et al. 2022, section 4.1; A starts uniform, B at zero, as there and in peft."""

    kind = "lora"

    @staticmethod
    def width(in_features, out_features):
        return in_features

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = x if self.drop is None else self.drop(x)
        return F.linear(F.linear(x, self.a), self.b) * self.scale

    def delta(self) -> Tensor:
        """[n, in], what it adds to W, in float64."""
        return self.scale * (self.b.double() @ self.a.double())


class Bottleneck(Part):
    """scale (B GELU(A y + c) + d), on the output of a sublayer before it is added. Houlsby et al. 2019, section 2.1."""

    kind = "bottleneck"

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float, dropout: float = 0.0):
        super().__init__(in_features, out_features, rank, scale, dropout)
        self.c = nn.Parameter(torch.zeros(rank))
        self.d = nn.Parameter(torch.zeros(out_features))

    @staticmethod
    def width(in_features, out_features):
        return out_features

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        y = y if self.drop is None else self.drop(y)
        return F.linear(F.gelu(F.linear(y, self.a, self.c)), self.b, self.d) * self.scale


KINDS: dict[str, type[Part]] = {part.kind: part for part in (LoRA, Bottleneck)}
