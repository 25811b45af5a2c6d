"""Positions on a grid of rows and columns. The place of a token is its index, row by row; the grid is a part's own."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.attention.positions.base import Position
from zoo.attention.positions.embeddings import sinusoid
from zoo.attention.positions.rotary import apply_rotary
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class Learned2D(Position):
    """x + table[pos], a learned vector for each cell of `grid` (rows, cols), after `prefix` vectors for the class and
    register tokens. Dosovitskiy et al. 2021, section 3.1; `resample` (section 3.2) carries it to another grid."""

    reads: ClassVar[tuple[str, ...]] = ("image", "captions")

    def __init__(self, dim: int, grid: tuple[int, int], prefix: int = 0, std: float = 0.02):
        super().__init__()
        self.grid, self.prefix = (grid[0], grid[1]), prefix
        self.table = nn.Parameter(torch.empty(prefix + grid[0] * grid[1], dim))
        nn.init.trunc_normal_(self.table, std=std)

    def embed(self, x, pos):
        if x.shape[1] != len(self.table):
            raise ZooError(f"{x.shape[1]} tokens for a grid of {self.grid} after {self.prefix} tokens of its own.")
        return x + self.table[pos]

    def resample(self, grid: tuple[int, int]) -> "Learned2D":
        """The same positions read off on another grid."""
        other = Learned2D(self.table.shape[1], grid, self.prefix)
        other.table.data = resample_grid(self.table.data, self.grid, grid, self.prefix)
        return other


def resample_grid(table: Tensor, old: tuple[int, int], new: tuple[int, int], prefix: int = 0) -> Tensor:
    """[prefix + old cells, dim] -> [prefix + new cells, dim]: bicubic, antialiased, in float32; the prefix is kept."""
    if tuple(old) == tuple(new):
        return table.clone()
    head, cells = table[:prefix], table[prefix:]
    picture = cells.float().T.reshape(1, -1, *old)
    picture = F.interpolate(picture, size=tuple(new), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([head, picture.flatten(2)[0].T.to(table.dtype)])


@declared
class SinCos2D(Position):
    """x + [s(row), s(col)], half of the width each. Chen et al. 2021 (MoCo v3), section 4; works on any grid."""

    reads: ClassVar[tuple[str, ...]] = ("image", "captions")

    def __init__(self, dim: int, grid: tuple[int, int], base: float = 10000.0):
        super().__init__()
        if dim % 4:
            raise ZooError(
                f"SinCos2D gives a quarter of the width to each of sin, cos x row, col; dim = {dim} % 4 != 0."
            )
        self.dim, self.grid, self.base = dim, tuple(grid), base

    def embed(self, x, pos):
        row, col = pos // self.grid[1], pos % self.grid[1]
        half = self.dim // 2
        return x + torch.cat([sinusoid(axis, half, self.base, x.dtype) for axis in (row, col)], -1)


@declared
class AxialRoPE(Position):
    """RoPE on a grid: half of the pairs turn by the row, half by the column. Heo et al. 2024, section 3.2 (axial).

        angle of pair i = base^(-4i/D) t,    t = (index + offset) span / cells, or without a span index + offset

    base = 100: the grid is short. Angles in float32 or wider (C8).

    Args:
        head_dim: D.
        grid: (rows, cols).
        base: of the frequencies.
        halves: pairs are (x_i, x_i+D/2), as in `RoPE`.
        columns_first: the first half of the pairs turns by the column.
        span: length that an axis of the grid is stretched to, or (rows, cols) of them, so that another grid has the same angles
            at its ends: 16 in EVA-02 (Fang et al. 2023), 4 pi in DINOv3 (Simeoni et al. 2025).
        offset: added to each index.
        centred: t = (index + offset + 1/2) span / cells - span / 2, from the middle of the grid, as in DINOv3; needs a span.

    Raises:
        ZooError: a width that is no multiple of 4, centred without a span.
    """

    reads: ClassVar[tuple[str, ...]] = ("image", "captions")
    is_relative = False  # a row ends: one place further is not always one column further

    def __init__(
        self,
        head_dim: int,
        grid: tuple[int, int],
        base: float = 100.0,
        halves: bool = False,
        columns_first: bool = False,
        span: float | tuple[float, float] | None = None,
        offset: float = 0.0,
        centred: bool = False,
    ):
        super().__init__()
        if head_dim % 4:
            raise ZooError(f"AxialRoPE splits pairs between rows and columns: head_dim % 4 must be 0; got {head_dim}.")
        if centred and span is None:
            raise ZooError("AxialRoPE(centred=True) counts from the middle of a span: give span=.")
        self.head_dim, self.grid, self.base = head_dim, tuple(grid), base
        self.halves, self.columns_first, self.offset, self.centred = halves, columns_first, offset, centred
        self.span = None if span is None else (span, span) if isinstance(span, int | float) else tuple(span)

    def rotate(self, x, pos):
        wide = torch.promote_types(x.dtype, torch.float32)
        frequency = self.base ** -(torch.arange(0, self.head_dim, 4, device=x.device, dtype=wide) / self.head_dim)
        axes = [self._coordinate((pos // self.grid[1]).to(wide), 0), self._coordinate((pos % self.grid[1]).to(wide), 1)]
        angles = [axis.unsqueeze(-1) * frequency for axis in (axes[::-1] if self.columns_first else axes)]
        return apply_rotary(x, torch.cat(angles, -1), self.halves)

    def _coordinate(self, index: Tensor, axis: int) -> Tensor:
        index = index + self.offset if self.offset else index
        if self.span is None:
            return index
        span, cells = self.span[axis], self.grid[axis]
        return ((index + 0.5) / cells - 0.5) * span if self.centred else index / cells * span


@declared
class MixedRoPE(Position):
    """RoPE on a grid whose frequencies are learned, by layer and head: each pair turns by column and row at once.

        angle of pair i in head h = f[0, h, i] column + f[1, h, i] row

    Heo et al. 2024, section 3.3 (RoPE-Mixed). They start as two rotated copies of the axial ones, a random angle a head, as in
    the authors' code. Angles in float32 or wider (C8).

    Args:
        head_dim: D.
        num_heads: H; keys with fewer heads turn as the first query head of their group does.
        grid: (rows, cols).
        base: of the frequencies that it starts from.

    Raises:
        ZooError: a width that is no multiple of 4; heads that do not divide H.
    """

    reads: ClassVar[tuple[str, ...]] = ("image", "captions")
    is_relative = False

    def __init__(self, head_dim: int, num_heads: int, grid: tuple[int, int], base: float = 10.0):
        super().__init__()
        if head_dim % 4:
            raise ZooError(f"MixedRoPE starts from pairs of directions: head_dim % 4 must be 0; got {head_dim}.")
        self.grid, self.base = tuple(grid), base
        size = base ** -(torch.arange(0, head_dim, 4) / head_dim)
        turned = torch.rand(num_heads, 1) * 2 * math.pi + torch.tensor([0.0, math.pi / 2]).repeat_interleave(len(size))
        self.frequencies = nn.Parameter(torch.stack([turned.cos(), turned.sin()]) * size.repeat(2))

    def rotate(self, x, pos):
        each, left = divmod(self.frequencies.shape[1], x.shape[1])
        if left:
            raise ZooError(f"MixedRoPE has frequencies for {self.frequencies.shape[1]} heads, not {x.shape[1]}.")
        wide = torch.promote_types(x.dtype, torch.float32)
        column, row = (
            (axis.to(wide).unsqueeze(-2)).unsqueeze(-1) for axis in (pos % self.grid[1], pos // self.grid[1])
        )
        f = self.frequencies[:, ::each].to(wide).unsqueeze(-2)  # [2, H, 1, D/2]
        angle = column * f[0] + row * f[1]  # [(B,) H, N, D/2]
        return apply_rotary(x, angle if angle.ndim == 4 else angle.unsqueeze(0))
