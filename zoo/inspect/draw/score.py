"""A score: the logits and weights that it gives on a small fixed example, beside the scaled dot product's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.attention import ScaledDot, Score, attend
from zoo.inspect.draw.panels import RISING, colours, matrix, titled
from zoo.inspect.draw.sizes import Sizes
from zoo.inspect.words import equation, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Measured(NamedTuple):
    """logits and weights: [1, 1, n, n]."""

    logits: Tensor
    weights: Tensor


def example(sizes: Sizes) -> tuple[Tensor, Tensor]:
    """q and k [1, 1, n, head_dim] of variance 1 that change slowly along the sequence, q and k partly alike."""
    draws = torch.Generator().manual_seed(sizes.seed)
    rough = torch.randn(3, sizes.head_dim, 3 * sizes.n, generator=draws)
    width = max(sizes.n // 4, 2)
    common, own_q, own_k = F.avg_pool1d(rough, 2 * width + 1, 1, width)[:, :, sizes.n : 2 * sizes.n].mT
    q, k = (common + 0.7 * own for own in (own_q, own_k))
    return tuple((x / x.std())[None, None] for x in (q, k))


@torch.no_grad()
def measured(score: Score, sizes: Sizes) -> Measured:
    """What the reference kernel computes on the example."""
    q, k = example(sizes)
    output = attend(q, k, k, score=score, kernel="reference", need_weights=True, need_logits=True)
    assert output.logits is not None and output.weights is not None  # both were asked for
    return Measured(output.logits, output.weights)


def draw(score: Score, sizes: Sizes) -> Figure:
    """Two columns, the scaled dot product and this score; logits above, weights below."""
    yardstick, own = measured(ScaledDot(), sizes), measured(score, sizes)
    shown = {"ScaledDot: q.k / sqrt(D)": yardstick, title(score) + " ": own}
    if all(map(torch.equal, yardstick, own)):
        shown = {"the same as q.k / sqrt(D) here": own}
    note = f"on {sizes.n} smooth queries and keys of width {sizes.head_dim}"
    if any(True for _ in score.parameters()):
        note += "; its parameters as they start, untrained"
    figure = titled(4.3 * max(len(shown), 1.3), 7.2, f"{title(score)}: {equation(score)}", note)
    for (name, output), above, below in zip(shown.items(), *figure.subplots(2, len(shown), squeeze=False), strict=True):
        logits, weights = output.logits[0, 0], output.weights[0, 0]
        where = {"x": "key k", "y": "query q"}
        sums = output is yardstick or score.is_distribution
        matrix(above, logits, title=name, bar="logit", **where, **colours(logits))
        matrix(below, weights, bar="weight (rows sum to 1)" if sums else "weight", **where, cmap=RISING, vmin=0)
    return figure
