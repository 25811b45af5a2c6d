"""Random numbers that are a function of what they are for, not of how many were drawn before."""

import torch
from torch import Tensor

WORD = 2**64
STEP = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def uniform(seed: int, epoch: int, sample: Tensor, n: int, purpose: int = 0) -> Tensor:
    """[B, n] float64 in [0, 1): the numbers of (seed, epoch, sample, purpose), whatever the batch, the process or the device.

    Steele et al. 2014 (SplitMix64): its finaliser, applied to each key in turn, and at last to the places 0..n-1.

    Args:
        sample: [B] long, a number of each row.
        purpose: another draw for the same row.
    """
    key = 0
    for number in (seed, epoch, purpose):
        key = _mixed_number(key + (number + 1) * STEP)
    rows = _mixed(sample * _signed(STEP) + _signed(key + STEP)).unsqueeze(1)
    places = torch.arange(1, n + 1, device=sample.device) * _signed(STEP)
    return _shifted(_mixed(rows + places), 11).double() * 2.0**-53


def _mixed_number(x: int) -> int:
    x %= WORD
    x = (x ^ x >> 30) * FIRST % WORD
    x = (x ^ x >> 27) * SECOND % WORD
    return x ^ x >> 31


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _signed(FIRST)
    x = (x ^ _shifted(x, 27)) * _signed(SECOND)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, by: int) -> Tensor:
    """x >> by without its sign: int64 is taken for the 64 bits that it is."""
    return (x >> by) & (2 ** (64 - by) - 1)


def _signed(x: int) -> int:
    x %= WORD
    return x - WORD if x >= WORD // 2 else x
