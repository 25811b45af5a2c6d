"""The three places where position can enter, and a wrapper for sequences that begin with tokens without a place."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.declared import declared


@declared
class Position(nn.Module):
    """Base class: three optional hooks that do nothing. `pos` holds places in the sequence: integers [N] or [B, N]."""

    #: How many leading tokens (class, registers) `embed` has entries of its own for.
    prefix: int = 0
    #: How many places it has; None: any.
    length: int | None = None
    #: Whether `rotate` and `bias` go by the distance of two places alone, so that all may be shifted.
    is_relative: bool = True
    #: The modalities of data that it is for; none: any.
    reads: ClassVar[tuple[str, ...]] = ()
    #: What of a graph has to be computed with the data for it, and the argument that says how much: ("laplacian", "k").
    encoding: ClassVar[tuple[str, str] | None] = None

    _hooks: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **how):
        super().__init_subclass__(**how)
        cls._hooks = frozenset(x for x, hook in HOOKS.items() if getattr(cls, hook) is not getattr(Position, hook))

    @property
    def wants(self) -> dict[str, int]:
        """What has to be computed with the data, and how much of it: {"laplacian": 8}."""
        return {} if self.encoding is None else {self.encoding[0]: getattr(self, self.encoding[1])}

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        """Tokens [B, N, dim] before the first block -> tokens with their places in them."""
        return x

    def rotate(self, x: Tensor, pos: Tensor) -> Tensor:
        """Queries or keys [B, H, N, D] -> the same, turned by their places. Called on both, in every layer."""
        return x

    def rotate_both(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        """`rotate` of the queries and keys of the same tokens, for a position that has work to share between them."""
        return self.rotate(q, pos), self.rotate(k, pos)

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | None:
        """What is added to the logits, broadcastable to [B, H, Q, K]; None adds nothing. Called in every layer."""
        return None

    @property
    def acts_on(self) -> frozenset[str]:
        """Where it does something: on "tokens" (embed), "heads" (rotate), "logits" (bias). By default where its class
        defines the hook; a wrapper passes on what the position inside it does."""
        return self._hooks

    @property
    def acts_inside(self) -> bool:
        """Whether it works inside the attention (rotate, bias), not only on the tokens before it."""
        return bool(self.acts_on & {"heads", "logits"})


HOOKS = {"tokens": "embed", "heads": "rotate", "logits": "bias"}


@declared
class PositionWrapper(Position):
    """A position around another one, which passes everything on: define the hooks that are different."""

    def __init__(self, position: Position):
        super().__init__()
        self.position = position

    @property
    def prefix(self) -> int:  # type: ignore[override]
        return self.position.prefix

    @property
    def length(self) -> int | None:  # type: ignore[override]
        return self.position.length

    @property
    def acts_on(self):
        return self.position.acts_on

    @property
    def is_relative(self) -> bool:  # type: ignore[override]
        return self.position.is_relative

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.position.reads

    @property
    def wants(self):
        return self.position.wants

    def embed(self, x, pos):
        return self.position.embed(x, pos)

    def rotate(self, x, pos):
        return self.position.rotate(x, pos)

    def bias(self, q_pos, k_pos):
        return self.position.bias(q_pos, k_pos)


@declared
class SkipPrefix(PositionWrapper):
    """A position for sequences whose first n tokens have no place (class and register tokens): they are neither
    rotated nor biased, and the token after them has place 0. It leaves the tokens themselves alone."""

    prefix = 0
    is_relative = False  # from the n-th place on it is what the other is

    def __init__(self, position: Position, n: int):
        super().__init__(position)
        self.n = n

    @property
    def acts_on(self):
        return super().acts_on - {"tokens"}

    def embed(self, x, pos):
        return x

    def rotate(self, x, pos):
        if "heads" not in self.acts_on:
            return x
        has = (places(pos) >= self.n).unsqueeze(1).unsqueeze(-1)  # [b, 1, N, 1]
        return torch.where(has, self.position.rotate(x, (pos - self.n).clamp(min=0)), x)

    def bias(self, q_pos, k_pos):
        bias = self.position.bias((q_pos - self.n).clamp(min=0), (k_pos - self.n).clamp(min=0))
        if bias is None:
            return None
        has = (places(q_pos) >= self.n).unsqueeze(-1) & (places(k_pos) >= self.n).unsqueeze(-2)  # [b, Q, K]
        return torch.where(has.unsqueeze(1), bias, 0.0)


def places(pos: Tensor) -> Tensor:
    """[N] -> [1, N], so that one formula serves [N] and [B, N]."""
    return pos if pos.ndim == 2 else pos.unsqueeze(0)
