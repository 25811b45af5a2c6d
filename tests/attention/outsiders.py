"""Parts as somebody else would write them, one class each, which says what it is not. The contracts hold for them as for ours.

They stand in the lists of tests/attention/examples.py.
"""

from dataclasses import dataclass

import torch

from zoo.attention import Pattern, Position, ScaledDot


class Sparsemax(ScaledDot):
    """The nearest point of the simplex to the logits: far keys weigh exactly 0. Martins and Astudillo 2016, section 2.2.

    A distribution, and no softmax: fused kernels refuse it by themselves, edge lists too, as it says nothing of segments.
    """

    def normalize(self, logits, call):
        empty = (logits == -torch.inf).all(-1, keepdim=True)
        z = logits.masked_fill(empty, 0).masked_fill((logits == -torch.inf) & ~empty, torch.finfo(logits.dtype).min / 4)
        top = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
        total = top.cumsum(-1)
        size = (1 + rank * top > total).sum(-1, keepdim=True).clamp(min=1)
        threshold = (total.gather(-1, size - 1) - 1) / size
        return (z - threshold).clamp(min=0).masked_fill(logits == -torch.inf, 0)


class Sigmoid(ScaledDot):
    """sigmoid(logit), each key for itself: no distribution. Ramapuram et al. 2024, equation 3, without the bias."""

    is_distribution = False

    def normalize(self, logits, call):
        return logits.sigmoid()


class FarApart(Position):
    """-|i - j| / (1 + i + j): a bias by both places, not by their distance alone."""

    is_relative = False

    def bias(self, q_pos, k_pos):
        q, k = q_pos[..., :, None].double(), k_pos[..., None, :].double()
        bias = -(q - k).abs() / (1 + q + k.clamp(min=0))
        return bias.unsqueeze(1) if bias.ndim == 3 else bias


@dataclass(frozen=True)
class Strongest(Pattern):
    """The keys whose logit is above the row's mean: a choice by content of another kind than TopK."""

    def allowed(self, b, h, q, k):
        return (q == q) & (k == k)

    def edit(self, logits, call):
        there = logits > -torch.inf
        mean = logits.masked_fill(~there, 0).sum(-1, keepdim=True) / there.sum(-1, keepdim=True).clamp(min=1)
        return logits.masked_fill(logits < mean, -torch.inf)
