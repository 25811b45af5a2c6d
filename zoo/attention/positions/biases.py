"""Positions that are added to the logits."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.attention.positions.base import Position, places
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class ALiBi(Position):
    """bias = -m_h |q_pos - k_pos|. Press et al. 2022, section 3: m_h = 2^(-8h/H), h = 1..H.

    Where H is not a power of two: the slopes of the power below it, then every other one of the power above
    (as in the authors' code). The distance is symmetric, so that it serves encoders too; under Causal() it is the paper's.
    """

    def __init__(self, num_heads: int):
        super().__init__()
        if not 1 <= num_heads <= 2**16:
            raise ZooError(f"ALiBi needs a slope a head, for 1 to 65,536 heads; got {num_heads=}.")
        self.slopes = slopes(num_heads)

    def bias(self, q_pos, k_pos):
        distance = (places(q_pos).unsqueeze(-1) - places(k_pos).unsqueeze(-2)).abs()  # [b, Q, K]
        # In float32 whatever the model's dtype: bfloat16 cannot tell places 129 and 130 apart.
        slope = torch.tensor(self.slopes, dtype=torch.float32, device=distance.device)
        return -slope.view(-1, 1, 1) * distance.unsqueeze(1)


def slopes(num_heads: int) -> list[float]:
    power = 2 ** math.floor(math.log2(num_heads))
    first = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    above = [2 ** (-8 * h / (2 * power)) for h in range(1, 2 * power + 1, 2)]
    return first + above[: num_heads - power]


@declared
class RelativeBias(Position):
    """bias = table[bucket(k_pos - q_pos), h], learned. Raffel et al. 2020 (T5), section 2.1.

    Half of the buckets are exact distances, the rest grow as the logarithm up to `max_distance`; `bidirectional`
    keeps separate buckets for keys after the query. Departure: each layer has a table of its own (T5 shares one).
    """

    def __init__(self, num_heads: int, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True):
        super().__init__()
        if num_buckets < 4 or max_distance <= num_buckets:
            raise ZooError(f"RelativeBias needs 4 buckets and a longer distance; got {num_buckets}, {max_distance}.")
        self.num_buckets, self.max_distance, self.bidirectional = num_buckets, max_distance, bidirectional
        self.table = nn.Parameter(torch.empty(num_buckets, num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def bias(self, q_pos, k_pos):
        offset = places(k_pos).unsqueeze(-2) - places(q_pos).unsqueeze(-1)  # [b, Q, K]
        return self.table[self.bucket(offset)].movedim(-1, 1)

    def bucket(self, offset: Tensor) -> Tensor:
        """Signed distances (key - query) to bucket numbers 0..num_buckets-1."""
        buckets, start = self.num_buckets, torch.zeros_like(offset)
        distance = (-offset).clamp(min=0)
        if self.bidirectional:
            buckets //= 2
            start, distance = buckets * (offset > 0), offset.abs()
        exact = buckets // 2
        ratio = (distance.clamp(min=1).float() / exact).log() / math.log(self.max_distance / exact)
        far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
        return start + torch.where(distance < exact, distance, far)


@declared
class RelativeBias2D(Position):
    """bias = table[row_q - row_k, column_q - column_k, h] on a grid, learned. Liu et al. 2021 (Swin), equation 4; Bao et al.
    2022 (BEiT).

    Args:
        num_heads: H.
        grid: (rows, cols) of the patches.
        prefix: tokens before the patches; above 0 they have three entries of their own, as in BEiT: from them, to them, and
            among themselves.
    """

    reads: ClassVar[tuple[str, ...]] = ("image", "captions")
    is_relative = False  # a row ends: one place further is not always one column further

    def __init__(self, num_heads: int, grid: tuple[int, int], prefix: int = 0):
        super().__init__()
        self.grid, self.prefix = (grid[0], grid[1]), prefix
        self.offsets = (2 * grid[0] - 1, 2 * grid[1] - 1)
        self.table = nn.Parameter(torch.empty(math.prod(self.offsets) + (3 if prefix else 0), num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def bias(self, q_pos, k_pos):
        return self.table[self.entry(places(q_pos).unsqueeze(-1), places(k_pos).unsqueeze(-2))].movedim(-1, 1)

    def entry(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """Places of queries and keys -> the row of the table."""
        (rows, columns), width = self.grid, self.grid[1]
        q, k = (q_pos - self.prefix).clamp(min=0), (k_pos - self.prefix).clamp(min=0)
        row, column = q // width - k // width + rows - 1, q % width - k % width + columns - 1
        found = row * self.offsets[1] + column
        if self.prefix:
            last, of_q, of_k = math.prod(self.offsets), q_pos < self.prefix, k_pos < self.prefix
            found = torch.where(of_q, last + 2 * of_k, torch.where(of_k, last + 1, found))
        return found
