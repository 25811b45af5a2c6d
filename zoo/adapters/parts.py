"""What an adapter adds to a linear map: a low-rank map of its input, or a bottleneck on its output."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.config import locate
from zoo.errors import ZooError, nearest
from zoo.layers.graph import FeatureDropout


class Part(nn.Module):
    """Base class: (x [..., in], y [..., n]) -> what is added to y, with y = W x + b the rows that it adapts.

    Args:
        in_features, out_features: of those rows, in and n.
        rank: width in between, r.
        scale: factor on what is added.
        dropout: rate, of what the part reads, in training.

    A kind defines `width` and `forward`; `delta` too where it is a map that can be added to the weights (`zoo.merge`). What `b`
    starts with is zero, so an adapter begins with no effect. Its place in files is its name here, of a class of one's own the
    dotted one (docs/extend.md).

    Attributes:
        kind: what it is called: "lora", "mypackage.adapters.Scale".
        targets: what it is usually put on.
    """

    kind: ClassVar[str]
    targets: ClassVar[tuple[str, ...]] = ("q", "v")

    def __init_subclass__(cls, **how: Any):
        super().__init_subclass__(**how)
        if "kind" not in vars(cls):
            cls.kind = f"{cls.__module__}.{cls.__qualname__}"
        _CLASSES[cls.kind] = cls

    def __init__(self, in_features: int, out_features: int, rank: int, scale: float, dropout: float = 0.0):
        super().__init__()
        self.rank, self.scale = rank, scale
        self.drop = FeatureDropout(dropout) if dropout else None  # of a sparse matrix the values alone
        self.a = nn.Parameter(torch.empty(rank, self.width(in_features, out_features)))
        self.b = nn.Parameter(torch.zeros(out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    @staticmethod
    def width(in_features: int, out_features: int) -> int:
        """The columns of `a`: the size of what it reads, of (in, n)."""
        raise NotImplementedError("a kind of adapter says how wide `a` is: define width(in_features, out_features).")

    @staticmethod
    def alpha(rank: int) -> float:
        """The usual one; what is added counts alpha / rank."""
        return float(rank)

    @classmethod
    def shapes(cls, in_features: int, out_features: int, rank: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of its tensors, none of which is made. Raises: ZooError for sizes that no tensor has."""
        try:
            with torch.device("meta"):
                made = cls(in_features, out_features, rank, 1.0)
        except RuntimeError:
            raise ZooError(
                f"A {cls.kind} of rank {rank} on {in_features} x {out_features} is larger than any."
            ) from None
        return {name: tuple(tensor.shape) for name, tensor in made.named_parameters()}


#: By kind, all that were defined.
_CLASSES: dict[str, type[Part]] = {}


class LoRA(Part):
    """scale B A x: a map of rank r. Hu et al. 2022, section 4.1; A starts uniform, B at zero, as there and in peft."""

    kind = "lora"

    @staticmethod
    def width(in_features, out_features):
        return in_features

    @staticmethod
    def alpha(rank):
        return 16.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = x if self.drop is None else self.drop(x)
        return F.linear(F.linear(x, self.a), self.b) * self.scale

    def delta(self) -> Tensor:
        """[n, in], what it adds to W, in float64."""
        return self.scale * (self.b.double() @ self.a.double())


class Bottleneck(Part):
    """scale (B GELU(A y + c) + d), on the output of a sublayer before it is added. Houlsby et al. 2019, section 2.1."""

    kind, targets = "bottleneck", ("o", "down")

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


def is_kind(word: Any) -> bool:
    """Whether it is a kind's name, or may be that of a class of one's own."""
    return isinstance(word, str) and (word in KINDS or "." in word)


def kind_of(kind: str) -> type[Part]:
    """The class of a kind that the user names; what a file names was looked up before (zoo.adapters.record).

    Raises: ZooError for what is none.
    """
    if not is_kind(kind):
        raise ZooError(f"An adapter of kind {kind!r} is unknown; {nearest(str(kind), KINDS)}")
    return _CLASSES[kind] if kind in _CLASSES else part_of(locate(kind, "adapter"), kind)


def part_of(found: Any, name: str) -> type[Part]:
    """What was found under a name, which must be a Part."""
    if not (isinstance(found, type) and issubclass(found, Part)):
        raise ZooError(f"{name!r} is no kind of adapter: give a subclass of zoo.adapters.Part.")
    return found
