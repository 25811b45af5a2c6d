"""ProbSparse: the queries that stand out are answered in full, the others by a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zoo.attention.ops.words import below, words
from zoo.attention.patterns.base import Pattern, whole_number
from zoo.declared import declared
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall


@declared
@dataclass(frozen=True)
class ProbSparse(Pattern):
    """The queries of largest M(q) see all keys in full: M(q) = max - mean of q's logits with u(K) sampled keys.

        u(n) = min(n, factor ceil(ln(n + 1)))

    Of Q queries the u(Q) of largest M are answered by the softmax; the others, the lazy ones, by the mean of the values that
    they may see: each such key has the mean of the row's logits, so that weights are uniform and rows sum to 1. Zhou et al.
    2021 (Informer), section 3.2. Which queries are answered in full has no gradient.

    Beside other patterns (`ProbSparse() & Causal()`) all of this is about what a query may see: it is compared with the queries
    at the places that it sees, samples u(n) of the n keys that it sees, and is answered in full if its M is among the u(m)
    largest of those m queries, its own included. Under Causal() these are queries 0..i, so no later token decides
    anything; padding is compared with nothing. Queries of another sequence (a context) are compared all with all.

    Sampled keys differ (one from each of u(n) equal stretches of the n, turned by a random start), and are the same for all
    samples and heads: in evaluation a function of (seed, n), in training drawn anew for each call.

    Departures from Informer2020 and transformers, which divide the mean by K, draw with replacement (in transformers K of them,
    so nothing is saved), rank causal queries by what comes later, and never apply the dropout: see docs/design.md.

    Args:
        factor: of how many keys are sampled and queries answered in full, a whole number from 1.
        seed: of the draw.
        lazy: "mean", or "sum" for the values' sum where a mean should stand (the cumulated sums of Informer's decoder, whose
            scale grows with the length); rows then sum to the number of keys.

    Raises:
        ZooError: a factor below 1, an unknown `lazy`, one step of a cached sequence (other queries are not there any more).
    """

    factor: int = 5
    seed: int = 0
    lazy: str = "mean"
    uses_query: ClassVar[bool] = False
    needs_whole: ClassVar[bool] = True
    by_chance: ClassVar[bool] = True

    def __post_init__(self):
        whole_number("ProbSparse(factor)", self.factor, least=1)
        whole_number("ProbSparse(seed)", self.seed)
        if self.lazy not in ("mean", "sum"):
            raise ZooError(f'ProbSparse(lazy) is "mean" or "sum"; got {self.lazy!r}.')

    @property
    def is_distribution(self):
        return self.lazy == "mean"

    def count(self, n: int) -> int:
        """u(n)."""
        return min(n, self.factor * math.ceil(math.log1p(n)))

    def counts(self, n: Tensor) -> Tensor:
        """`count` of each."""
        return torch.minimum(n, self.factor * n.double().log1p().ceil().long())

    def words(self, keys: int, call: AttentionCall) -> Tensor:
        """The random words of a call, [u(keys) + 1]: one a stretch, and that of the start."""
        return words(self.seed, self.count(keys) + 1, call.draw, call.q.device)

    def sample(self, n: int, call: AttentionCall) -> Tensor:
        """The u(n) keys that are sampled of n: [u(n)] places 0..n-1, none twice."""
        return self.samples(torch.full((1,), n, device=call.q.device), n, call)[0]

    def samples(self, n: Tensor, most: int, call: AttentionCall) -> tuple[Tensor, Tensor]:
        """`sample` of each n [..., 1], which are at most `most`: [..., u(most)] places, and which of these count."""
        word, u = self.words(most, call), self.counts(n).clamp(min=1)
        s = torch.arange(len(word) - 1, device=word.device)
        there = s < u
        s = s.minimum(u - 1)
        first, end, n = s * n // u, (s + 1) * n // u, n.clamp(min=1)
        return (first + below(word[1:][s], (end - first).clamp(min=1)) + below(word[0], n)) % n, there

    def sampled(self, rank: Tensor, n: Tensor, call: AttentionCall) -> Tensor:
        """Whether the key of that rank among n is in `sample(n)`; both broadcast."""
        word = self.words(call.k.shape[2], call)
        n, u = n.clamp(min=1), self.counts(n).clamp(min=1)
        rank = (rank - below(word[0], n)) % n
        s = ((rank + 1) * u - 1) // n
        first, end = s * n // u, (s + 1) * n // u
        return first + below(word[1:][s], end - first) == rank

    @torch.no_grad()
    def measure(self, logits: Tensor, call: AttentionCall) -> Tensor:
        """M(q) of each query: [B, H, Q, K] -> [B, H, Q]. -inf is a key that it does not see."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        visible = logits > -torch.inf
        n = visible.sum(-1, keepdim=True)
        sampled = visible & self.sampled(visible.cumsum(-1) - 1, n, call)
        mean = logits.masked_fill(~sampled, 0).sum(-1) / sampled.sum(-1).clamp(min=1)
        return logits.masked_fill(~sampled, -torch.inf).amax(-1) - mean

    @staticmethod
    def compared(visible: Tensor, call: AttentionCall) -> Tensor:
        """Which queries each query is compared with: [B, H, Q, Q]."""
        Q, K = visible.shape[-2:]
        if call.crosses:
            return visible.new_ones(Q, Q).expand(*visible.shape[:2], Q, Q)
        _, _, q, k = call.index_grid()
        at = (q.mT == k.mT) & (k.mT >= 0)  # [b, h, K, Q]: the key that stands where a query stands
        seen = (visible.float() @ at.expand(*visible.shape[:2], K, Q).float()) > 0
        itself = torch.eye(Q, dtype=torch.bool, device=seen.device)
        return seen | (itself & seen.any(-2, keepdim=True))  # padding, which nobody sees, not even with itself

    @torch.no_grad()
    def answered(self, logits: Tensor, call: AttentionCall) -> Tensor:
        """Which queries are answered in full, [B, H, Q]; of equal ones the first."""
        m, others = self.measure(logits, call), self.compared(logits > -torch.inf, call)
        mine, its = m.unsqueeze(-1), m.unsqueeze(-2)
        first = torch.ones(m.shape[-1:] * 2, dtype=torch.bool, device=m.device).tril(-1)
        before = (others & ((its > mine) | ((its == mine) & first))).sum(-1)
        return (before < self.counts(others.sum(-1))) & others.diagonal(dim1=-2, dim2=-1)

    def edit(self, logits, call):
        if 0 in logits.shape:
            return logits
        full, visible = self.answered(logits, call).unsqueeze(-1), logits > -torch.inf
        wide = torch.promote_types(logits.dtype, torch.float32)
        mean = logits.masked_fill(~visible, 0).sum(-1, keepdim=True, dtype=wide) / visible.sum(-1, keepdim=True).clamp(
            1
        )
        return torch.where(full | ~visible, logits, mean.to(logits.dtype))

    def finish(self, weights, logits, call):
        if self.lazy == "mean" or 0 in logits.shape:
            return weights
        many = (logits > -torch.inf).sum(-1, keepdim=True).to(weights.dtype)
        return torch.where(self.answered(logits, call).unsqueeze(-1), weights, weights * many)
