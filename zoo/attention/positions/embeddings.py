"""Positions that are added to the tokens: sinusoidal, learned, learned periods."""

import math

import torch
from torch import nn

from zoo.attention.positions.base import Position
from zoo.declared import declared
from zoo.errors import ZooError

TABLE = 2**14  # places of which the sines are kept, at most


@declared
class Sinusoidal(Position):
    """x + s(pos),  s_2i = sin(pos / base^(2i/dim)),  s_2i+1 = cos(pos / base^(2i/dim)).

    Vaswani et al. 2017, section 3.5. `dim` may be odd (the last cosine is left out). Angles are in float32 or wider.

    Args:
        dim: width of the tokens.
        base: the longest period is 2 pi base.
        interleaved: False: all sines, then all cosines, as in tensor2tensor and Marian.
    """

    def __init__(self, dim: int, base: float = 10000.0, interleaved: bool = True):
        super().__init__()
        self.dim, self.base, self.interleaved = dim, base, interleaved
        self._table: torch.Tensor | None = None  # of the first places, where they were asked for before

    def embed(self, x, pos):
        return x + self._places(pos, x.dtype)

    def _places(self, pos: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """[..., dim]. A step of a decoder reads a row of a table; on a GPU to look at `pos` would cost more than the sines."""
        if pos.numel() != 1 or pos.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self._sines(pos, dtype)
        place = int(pos)
        if not 0 <= place < TABLE:
            return self._sines(pos, dtype)
        if self._table is None or self._table.dtype != dtype or place >= len(self._table):
            self._table = self._sines(torch.arange(max(64, 1 << place.bit_length())), dtype)
        return self._table[place].expand(*pos.shape, -1)

    def _sines(self, pos: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        places = sinusoid(pos, self.dim, self.base, dtype)
        return places if self.interleaved else torch.cat([places[..., 0::2], places[..., 1::2]], -1)


def sinusoid(pos: torch.Tensor, dim: int, base: float, dtype: torch.dtype) -> torch.Tensor:
    """Places [...] -> [..., dim], sines at even and cosines at odd indices."""
    wide = torch.promote_types(dtype, torch.float32)
    exponent = torch.arange(0, dim, 2, device=pos.device, dtype=wide) / dim
    angle = pos.to(wide).unsqueeze(-1) * base**-exponent
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., :dim].to(dtype)


@declared
class Learned(Position):
    """x + table[pos], a learned vector for each of `length` places. Gehring et al. 2017; BERT, GPT-2.

    Raises ZooError for a sequence longer than the table.
    """

    def __init__(self, dim: int, length: int, std: float = 0.02):
        super().__init__()
        self.length = length
        self.table = nn.Parameter(torch.empty(length, dim))
        nn.init.trunc_normal_(self.table, std=std)

    def embed(self, x, pos):
        if pos.shape[-1] > len(self.table):
            raise ZooError(
                f"{pos.shape[-1]} tokens, but Learned has {len(self.table)} places: "
                "make it longer, or take a position that extends (sinusoidal, rope, alibi)."
            )
        return x + self.table[pos]


@declared
class StandardSinusoidal(Position):
    """x + table[pos], the sinusoidal table of `length` places with mean 0 and deviation .1, which is not trained.

        table = (s - mean(s)) / (10 std(s)),   s as of `Sinusoidal`

    transformers' PatchTST has it as "sincos". The table is kept with the weights. Raises ZooError for a longer sequence.
    """

    table: torch.Tensor

    def __init__(self, dim: int, length: int):
        super().__init__()
        self.length = length
        table = sinusoid(torch.arange(length), dim, 10000.0, torch.float32)
        table = table - table.mean()
        self.register_buffer("table", table / (10 * table.std()))

    def embed(self, x, pos):
        if pos.shape[-1] > len(self.table):
            raise ZooError(
                f"{pos.shape[-1]} tokens, but StandardSinusoidal has {len(self.table)} places: make it longer."
            )
        return x + self.table[pos]


@declared
class Time2Vec(Position):
    """x + t(pos),  t_0 = w_0 pos + b_0,  t_i = sin(w_i pos + b_i): a trend and learned periods. Kazemi et al. 2019, equation 1.

    Departure: it starts from the sines and cosines of `Sinusoidal` (w_i falls from 1 to 1 / base, b_i is 0 and pi / 2 in
    turn, w_0 = 1 / base), not from random ones, so that the first steps see places as they see them there. Angles are in
    float32 or wider.

    Args:
        dim: width of the tokens.
        base: the longest of the first periods is 2 pi base.
    """

    def __init__(self, dim: int, base: float = 10000.0):
        super().__init__()
        self.dim, self.base = dim, base
        pair = torch.arange(dim - 1) // 2
        self.frequency = nn.Parameter(torch.cat([torch.tensor([1 / base]), base ** -(2 * pair / dim)]))
        self.phase = nn.Parameter(torch.cat([torch.zeros(1), torch.arange(dim - 1) % 2 * (math.pi / 2)]))

    def embed(self, x, pos):
        wide = torch.promote_types(x.dtype, torch.float32)
        angle = pos.to(wide).unsqueeze(-1) * self.frequency.to(wide) + self.phase.to(wide)
        return x + torch.cat([angle[..., :1], angle[..., 1:].sin()], -1).to(x.dtype)
