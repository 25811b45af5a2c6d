"""LSH by buckets: in each round, queries and keys sorted by bucket and cut into chunks; the pairs of chunks of one bucket are
multiplied, and a pair of tokens that an earlier round has found already is left out.

    out_i = sum_r sum_{j in i's bucket of round r, in none before} exp(l_ij - m_i) v_j / (the same sum without v_j)

Kitaev et al. 2020, section 2, where buckets are cut at a fixed size; here they stay whole, so that it is the oracle exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.kernels.flex import keys_only
from zoo.attention.kernels.reference import chooses_among_few
from zoo.attention.kernels.sdpa import SDPA
from zoo.attention.patterns import LSH, Full, Pattern
from zoo.attention.patterns.content import choice_and_rest

CHUNK = 32


class Sums(NamedTuple):
    """What a part of the keys adds to each row: weighted values [G, Dv], weights [G], the maximum [G] that both go by."""

    values: Tensor
    weights: Tensor
    largest: Tensor


class LSHBuckets:
    name = "lsh"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        if call.pattern.edges is not None or choice_and_rest(call.pattern, LSH) is None:
            return ("its pattern is not LSH, alone or with patterns that go by places",)
        reasons: tuple[str, ...] = ()
        if "dot" not in call.score.forms:
            reasons += (f"{type(call.score).__name__} is not a dot product (no as_dot)",)
        if not call.score.is_softmax:
            reasons += (f"{type(call.score).__name__} does not normalise by softmax",)
        if call.bias is not None:
            reasons += ("a bias is a whole matrix",)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        if call.q_pos is not None or call.k_pos is not None:
            reasons += ("its tokens have places of their own (a cache, padding)",)
        if torch.compiler.is_compiling():
            reasons += ("how full the buckets are is known by values alone",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return ("rows this short are faster as a whole matrix",) if chooses_among_few(call) else ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        found = choice_and_rest(call.pattern, LSH)
        assert found is not None, "why_not refuses other patterns"
        choice, rest = found
        rotations = choice.rotations(call)
        if rotations is None or 0 in call.q.shape:  # one bucket
            return SDPA().run(replace(call, pattern=rest))
        k, v = call.k, call.v
        if not isinstance(keys := keys_only(rest), Full):
            seen = keys.allowed(*call.index_grid()).transpose(-2, -1)  # [b, h, K, 1]
            k, v = torch.where(seen, call.repeat_kv(k), 0), torch.where(seen, call.repeat_kv(v), 0)
        of_q, of_k = choice.buckets(call.q, rotations), call.repeat_kv(choice.buckets(call.k, rotations))
        q, k, scale = call.score.as_dot(call.q, k)
        rows = Rows(call, rest, q * scale, *(x if x.shape[1] == q.shape[1] else call.repeat_kv(x) for x in (k, v)))
        of_q, of_k = of_q.flatten(0, 2), of_k.flatten(0, 2)
        parts = [rows.in_buckets(of_q, of_k, r, 2 * rotations.shape[2]) for r in range(choice.rounds)]
        if not call.crosses:
            parts.append(rows.themselves(of_q, of_k))
        return AttentionOutput(joined(parts).to(call.v.dtype).view(*call.q.shape[:3], -1))


class Rows:
    """The queries, keys and values of all samples and heads one below the other: [G N, D]."""

    def __init__(self, call: AttentionCall, rest: Pattern, q: Tensor, k: Tensor, v: Tensor):
        self.call, self.rest, (self.Q, self.K) = call, rest, (q.shape[2], k.shape[2])
        self.groups, self.heads = q.shape[0] * q.shape[1], q.shape[1]
        self.q, self.k, self.v = (x.reshape(-1, x.shape[-1]) for x in (q, k, v))

    def in_buckets(self, of_q: Tensor, of_k: Tensor, r: int, buckets: int) -> Sums:
        """The keys that round r finds and no round before it."""
        i, here_i, j, here_j = self._pairs(of_q[:, r], of_k[:, r], buckets)
        with torch.no_grad():
            seen = here_i.unsqueeze(-1) & here_j.unsqueeze(-2)
            for before in range(r):
                seen &= of_q[i, before].unsqueeze(-1) != of_k[j, before].unsqueeze(-2)
            seen &= self._allowed(i.unsqueeze(-1), j.unsqueeze(-2))
        logits = self._picked(self.q, i) @ self._picked(self.k, j).mT
        return self._summed(logits.masked_fill(~seen, -torch.inf), i, self._picked(self.v, j))

    def themselves(self, of_q: Tensor, of_k: Tensor) -> Sums:
        """Each token's own key, where no round finds it."""
        i = torch.arange(len(self.q), device=self.q.device)
        j = i // self.Q * self.K + i % self.Q + self.K - self.Q
        seen = (of_q != of_k[j]).all(-1) & self._allowed(i, j)
        logits = (self.q * self.k.index_select(0, j)).sum(-1).masked_fill(~seen, -torch.inf)
        return self._summed(logits.view(-1, 1, 1), i.view(-1, 1), self.v.index_select(0, j).unsqueeze(1))

    def _pairs(self, of_q: Tensor, of_k: Tensor, buckets: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All pairs of a chunk of queries and a chunk of keys that lie in one bucket: rows of queries [P, CHUNK], which of them
        count, and the same of keys."""
        sides = []
        for bucket, n in ((of_q, self.Q), (of_k, self.K)):
            group = torch.arange(len(bucket), device=bucket.device) // n
            order = (group * buckets + bucket).sort(stable=True)
            counts = order.values.bincount(minlength=self.groups * buckets)
            sides.append((order.indices, counts, counts.cumsum(0) - counts, -(-counts // CHUNK)))
        chunks_k = sides[1][3]
        pairs = sides[0][3] * chunks_k
        bucket = torch.arange(len(pairs), device=pairs.device).repeat_interleave(pairs)
        local = torch.arange(len(bucket), device=pairs.device) - (pairs.cumsum(0) - pairs)[bucket]
        found: list[Tensor] = []
        for (rows, counts, first, _), chunk in zip(
            sides, (local // chunks_k[bucket], local % chunks_k[bucket]), strict=True
        ):
            at = chunk.unsqueeze(-1) * CHUNK + torch.arange(CHUNK, device=pairs.device)
            there = at < counts[bucket].unsqueeze(-1)
            found += [rows[(first[bucket].unsqueeze(-1) + at).clamp(max=len(rows) - 1)], there]
        i, here_i, j, here_j = found
        return i, here_i, j, here_j

    def _allowed(self, i: Tensor, j: Tensor) -> Tensor:
        """Whether the rest of the pattern lets row i see key j; a chunk's padding may lie in another sample."""
        if isinstance(self.rest, Full):
            return torch.ones((), dtype=torch.bool, device=i.device)
        group = i // self.Q
        return self.rest.allowed(group // self.heads, group % self.heads, i % self.Q + self.K - self.Q, j % self.K)

    @staticmethod
    def _picked(x: Tensor, rows: Tensor) -> Tensor:
        return x.index_select(0, rows.flatten()).view(*rows.shape, x.shape[-1])

    def _summed(self, logits: Tensor, i: Tensor, v: Tensor) -> Sums:
        """Logits [P, n, m] of rows i [P, n] on values [P, m, Dv], summed by row."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        i = i.flatten()
        with torch.no_grad():
            largest = logits.new_full((len(self.q),), -torch.inf).scatter_reduce(
                0, i, logits.amax(-1).flatten(), "amax"
            )
            base = largest.masked_fill(largest == -torch.inf, 0)
        weights = (logits - base[i].view(*logits.shape[:2], 1)).exp()
        kept = self.call.drop(weights, self.call.dropout) if self.call.dropout else weights
        values = (kept @ v.to(kept.dtype)).flatten(0, 1).to(kept.dtype)  # autocast has ideas of its own
        zeros = weights.new_zeros(len(self.q), v.shape[-1])
        return Sums(zeros.index_add(0, i, values), zeros[:, 0].index_add(0, i, weights.sum(-1).flatten()), largest)


def joined(parts: list[Sums]) -> Tensor:
    """The mean over all parts, [G, Dv]; 0 where none has a key."""
    largest = torch.stack([part.largest for part in parts]).amax(0)
    largest = largest.masked_fill(largest == -torch.inf, 0)
    shares = [(part.largest - largest).exp() for part in parts]
    values = sum(share.unsqueeze(-1) * part.values for share, part in zip(shares, parts, strict=True))
    weights = sum(share * part.weights for share, part in zip(shares, parts, strict=True))
    assert isinstance(values, Tensor) and isinstance(weights, Tensor)
    return values / torch.where(weights == 0, 1, weights).unsqueeze(-1)
