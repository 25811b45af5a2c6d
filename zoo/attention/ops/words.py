"""Random numbers that are a function of what they are for: the words of SplitMix64 (Steele et al. 2014), as tensors.

A word is 64 random bits in an int64. The same on every device and for every batch, and no generator's state is touched.
"""

import math

import torch
from torch import Tensor

WORD = 2**64
STEP = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def words(seed: int, n: int, draw: Tensor | None = None, device: torch.device | None = None) -> Tensor:
    """[n] words of a seed, and of a draw, an int64 scalar on the device, where there is one."""
    places = torch.arange(1, n + 1, device=device) * signed(STEP)
    key = signed(mixed_number((seed + 1) * STEP))
    return mixed(places + key) if draw is None else mixed(places + mixed(draw * signed(STEP) + key))


def below(words: Tensor, bound: Tensor | int) -> Tensor:
    """Words as numbers 0..bound-1, evenly to one part in 2^63 / bound."""
    return shifted(words, 1) % bound


def normals(words: Tensor) -> Tensor:
    """[2n] words -> [n] numbers in float64 that are normally distributed (Box and Muller 1958)."""
    u, turn = ((shifted(x, 11).double() + 0.5) * 2.0**-53 for x in words.chunk(2))
    return (-2 * u.log()).sqrt() * (2 * math.pi * turn).cos()


def mixed_number(x: int) -> int:
    """SplitMix64's finaliser of a number."""
    x %= WORD
    x = (x ^ x >> 30) * FIRST % WORD
    x = (x ^ x >> 27) * SECOND % WORD
    return x ^ x >> 31


def mixed(x: Tensor) -> Tensor:
    """SplitMix64's finaliser of each word."""
    x = (x ^ shifted(x, 30)) * signed(FIRST)
    x = (x ^ shifted(x, 27)) * signed(SECOND)
    return x ^ shifted(x, 31)


def shifted(x: Tensor, by: int) -> Tensor:
    """x >> by without its sign: int64 is taken for the 64 bits that it is."""
    return (x >> by) & (2 ** (64 - by) - 1)


def signed(x: int) -> int:
    """A word as the number that an int64 takes it for."""
    x %= WORD
    return x - WORD if x >= WORD // 2 else x
