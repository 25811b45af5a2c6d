"""Patterns that go by places alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zoo.attention.patterns.base import Pattern, whole_number
from zoo.declared import declared
from zoo.errors import ZooError


@declared
@dataclass(frozen=True)
class Causal(Pattern):
    """k <= q: a query sees itself and what came before."""

    def allowed(self, b, h, q, k):
        return k <= q


@declared
@dataclass(frozen=True)
class Window(Pattern):
    """|q - k| < size; with Causal() exactly `size` keys, the query's own included. Beltagy et al. 2020, section 3.1."""

    size: int

    def __post_init__(self):
        whole_number("Window(size)", self.size, least=1)

    @property
    def reach(self):
        return self.size

    def allowed(self, b, h, q, k):
        return (q - k < self.size) & (k - q < self.size)


@declared
@dataclass(frozen=True)
class Window2D(Pattern):
    """|row_q - row_k| < size and |col_q - col_k| < size on a grid: size 2 is a neighbourhood of 3 x 3 cells.

    Ramachandran et al. 2019, section 3 (there around each pixel). As a factory, `partial(Window2D, size=2)`, it is given the
    grid by a model of images (`pattern=window_2d`).

    Args:
        size: rows and columns; or one number for each.
        grid: (rows, cols) of the tokens, row by row.
        prefix: tokens before the grid (class, registers), which have no neighbours.
    """

    size: int | tuple[int, int]
    grid: tuple[int, int]
    prefix: int = 0
    reads: ClassVar[tuple[str, ...]] = ("image", "captions")

    def __post_init__(self):
        sizes = self.size if isinstance(self.size, tuple | list) else (self.size, self.size)
        if len(sizes) != 2 or not isinstance(self.grid, tuple | list) or len(self.grid) != 2:
            raise ZooError(
                f"Window2D takes a size, or one for rows and one for columns, and a grid (rows, cols); got {self}."
            )
        for name, values, least in (("size", sizes, 1), ("grid", self.grid, 1), ("prefix", [self.prefix], 0)):
            for value in values:
                whole_number(f"Window2D({name})", value, least)
        object.__setattr__(self, "size", tuple(sizes) if sizes[0] != sizes[1] else sizes[0])
        object.__setattr__(self, "grid", tuple(self.grid))

    def allowed(self, b, h, q, k):
        rows, cols = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        on_grid = (q >= self.prefix) & (k >= self.prefix)
        q, k = q - self.prefix, k - self.prefix
        down, across = (q // self.grid[1] - k // self.grid[1]).abs(), (q % self.grid[1] - k % self.grid[1]).abs()
        return on_grid & (down < rows) & (across < cols)

    def check(self, call):
        cells = self.grid[0] * self.grid[1]
        if not call.has_places and call.k.shape[2] != self.prefix + cells:
            raise ZooError(f"{self} is for {self.prefix} + {cells} tokens; got {call.k.shape[2]} keys.")


@declared
@dataclass(frozen=True, eq=False)
class Prefix(Pattern):
    """k < n: every query sees the first n keys (n an int, or [B]). A prefix LM is Causal() | Prefix(n)."""

    n: int | Tensor
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        whole_number("Prefix(n)", self.n)

    @property
    def sees_nothing(self):
        return not isinstance(self.n, Tensor) and self.n == 0

    def allowed(self, b, h, q, k):
        return k < (self.n[b] if isinstance(self.n, Tensor) else self.n)

    def check(self, call):
        if isinstance(self.n, Tensor) and self.n.shape != (call.q.shape[0],):
            raise ZooError(f"Prefix(n) takes an int or one n a sample, [{call.q.shape[0]}]; got {list(self.n.shape)}.")


@declared
@dataclass(frozen=True)
class Global(Pattern):
    """q < n or k < n: the first n tokens see all and are seen by all. Beltagy et al. 2020, section 3.1."""

    n: int

    def __post_init__(self):
        whole_number("Global(n)", self.n)

    @property
    def sees_nothing(self):
        return self.n == 0

    def allowed(self, b, h, q, k):
        return (q < self.n) | (k < self.n)


@declared
@dataclass(frozen=True)
class Beyond(Pattern):
    """k >= n: nobody sees the first n keys. `pattern & Beyond(n) | Global(n)`: choose among the rest, see the first too."""

    n: int
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        whole_number("Beyond(n)", self.n)

    def allowed(self, b, h, q, k):
        return k >= self.n
