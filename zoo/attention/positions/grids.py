"""Positions on a grid of rows and columns. The place of a token is its index, row by row; the grid is a part's own."""

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

    reads: ClassVar[tuple[str, ...]] = ("image",)

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

    reads: ClassVar[tuple[str, ...]] = ("image",)

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

    base = 100: the grid is short. Angles in float32 or wider (C8).
    """

    reads: ClassVar[tuple[str, ...]] = ("image",)
    is_relative = False  # a row ends: one place further is not always one column further

    def __init__(self, head_dim: int, grid: tuple[int, int], base: float = 100.0):
        super().__init__()
        if head_dim % 4:
            raise ZooError(f"AxialRoPE splits pairs between rows and columns: head_dim % 4 must be 0; got {head_dim}.")
        self.head_dim, self.grid, self.base = head_dim, tuple(grid), base

    def rotate(self, x, pos):
        wide = torch.promote_types(x.dtype, torch.float32)
        frequency = self.base ** -(torch.arange(0, self.head_dim, 4, device=x.device, dtype=wide) / self.head_dim)
        row, col = (pos // self.grid[1]).to(wide), (pos % self.grid[1]).to(wide)
        return apply_rotary(x, torch.cat([row.unsqueeze(-1) * frequency, col.unsqueeze(-1) * frequency], -1))
