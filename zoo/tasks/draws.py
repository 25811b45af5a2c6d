"""Random numbers that are a function of what they are for, not of how many were drawn before."""

import torch
from torch import Tensor

from zoo.attention.ops.words import STEP, mixed, mixed_number, shifted, signed


def uniform(seed: int, epoch: int, sample: Tensor, n: int, purpose: int = 0) -> Tensor:
    """[B, n] float64 in [0, 1): the numbers of (seed, epoch, sample, purpose), whatever the batch, the process or the device.

    Steele et al. 2014 (SplitMix64): its finaliser, applied to each key in turn, and at last to the places 0..n-1.

    Args:
        sample: [B] long, a number of each row.
        purpose: another draw for the same row.
    """
    key = 0
    for number in (seed, epoch, purpose):
        key = mixed_number(key + (number + 1) * STEP)
    rows = mixed(sample * signed(STEP) + signed(key + STEP)).unsqueeze(1)
    places = torch.arange(1, n + 1, device=sample.device) * signed(STEP)
    return shifted(mixed(rows + places), 11).double() * 2.0**-53
