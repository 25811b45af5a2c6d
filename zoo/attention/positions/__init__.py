"""Positions: how *where* enters. One class, one hook."""

from zoo.attention.positions.base import Position, PositionWrapper, SkipPrefix
from zoo.attention.positions.biases import ALiBi, RelativeBias, RelativeBias2D
from zoo.attention.positions.embeddings import Learned, Sinusoidal, StandardSinusoidal, Time2Vec
from zoo.attention.positions.graphs import Laplacian, RandomWalk, ShortestPath
from zoo.attention.positions.grids import AxialRoPE, Learned2D, MixedRoPE, SinCos2D
from zoo.attention.positions.rotary import RoPE

__all__ = [
    "ALiBi", "AxialRoPE", "Laplacian", "Learned", "Learned2D", "MixedRoPE", "Position", "PositionWrapper", "RandomWalk",
    "RelativeBias", "RelativeBias2D", "RoPE", "ShortestPath", "SinCos2D", "Sinusoidal", "SkipPrefix",
    "StandardSinusoidal", "Time2Vec",
]  # fmt: skip
