"""ProbSparse in N log N: the queries that stand out on all keys, one mean for the others.

    M(q) of all queries on u(K) sampled keys: [Q, u];   the u(Q) largest on all keys: [u, K];   the rest share a mean

Zhou et al. 2021, algorithm 1. Causal: M on sampled keys of each query's own past, running maxima block by block, running means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.kernels.linear import split
from zoo.attention.ops.narrow import scores_on
from zoo.attention.patterns import Full, Pattern, ProbSparse
from zoo.attention.patterns.content import choice_and_rest

BLOCK = 64  # queries whose M are compared with one another at once
GATHERED = 2**22  # numbers of sampled keys that are held at once
SHORT = 256  # keys up to which causal queries are all answered
TOGETHER = 32  # causal queries that are answered at once
HIDDEN = -1e30  # added to a logit whose weight is 0: in float16 -inf
SHORT = 1024  # up to so many keys a whole product is faster than the sampled keys one by one


class Form(NamedTuple):
    choice: ProbSparse
    causal: bool
    keys: Pattern  # what is seen beside that: a choice of keys alone


def form(pattern: Pattern) -> Form | None:
    """A pattern as ProbSparse & Causal() & a choice of keys alone; None if it is not of that form."""
    found = choice_and_rest(pattern, ProbSparse)
    rest = found and split(found[1])
    return Form(found[0], *rest) if found and rest else None


class ProbSparseRows:
    name = "probsparse"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        parts = None if call.pattern.edges is not None else form(call.pattern)
        if parts is None:
            return ("its pattern is not ProbSparse, alone or with Causal() or a choice of keys",)
        reasons: tuple[str, ...] = ()
        if "dot" not in call.score.forms:  # GAT's scores tie queries whose M differ by rounding alone
            reasons += (f"{type(call.score).__name__} is not a dot product (no as_dot)",)
        if not call.score.is_softmax:
            reasons += (f"{type(call.score).__name__} does not normalise by softmax",)
        if call.bias is not None:
            reasons += ("a bias on each pair is not sampled",)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        if call.q_pos is not None or call.k_pos is not None:
            reasons += ("its tokens have places of their own (a cache, padding)",)
        if parts.causal and (call.crosses or call.q.shape[2] != call.k.shape[2] or not isinstance(parts.keys, Full)):
            reasons += ("causal ones it computes where queries and keys are the same tokens and none is padding",)
        if parts.causal and torch.compiler.is_compiling():
            reasons += ("how many causal queries are answered in full is known by their values alone",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        parts = form(call.pattern)
        assert parts is not None, "why_not refuses other patterns"
        # Heads lie apart in what a projection gives: each product and gather would copy them.
        call = replace(call, q=call.q.contiguous())
        k, v, seen = call.repeat_kv(call.k).contiguous(), call.repeat_kv(call.v).contiguous(), None
        if not isinstance(parts.keys, Full):
            seen = parts.keys.allowed(*call.index_grid()).transpose(-2, -1)  # [b, h, K, 1]
            k, v = torch.where(seen, k, 0), torch.where(seen, v, 0)
        if 0 in (*call.q.shape[:3], k.shape[2]):
            return AttentionOutput(call.q @ k.mT @ v)
        with torch.no_grad():
            if parts.causal:
                chosen = chosen_causal(measured_causal(call, k, parts.choice), parts.choice)
                at, valid = (None, None) if in_one(call) else causal_rows(chosen)
            else:
                at, valid = rows(measured(call, k, seen, parts.choice), seen, call, parts.choice)
        lazy = means(call, v, seen, parts)
        if at is None:
            q, keys, scale = call.score.as_dot(call.q, k)
            full = F.scaled_dot_product_attention(q, keys, v, is_causal=True, scale=scale)
            return AttentionOutput(torch.where(chosen.unsqueeze(-1), full, lazy))
        full = answered_causal(call, at, k, v) if parts.causal else answered(call, at, k, v, seen)
        if valid is not None:
            full = torch.where(valid.unsqueeze(-1), full, taken(lazy, at))
        return AttentionOutput(lazy.scatter(2, at.unsqueeze(-1).expand_as(full), full))


def taken(x: Tensor, at: Tensor) -> Tensor:
    """Rows of x [B, H, N, D] at [B, H, M]: [B, H, M, D]."""
    return x.gather(2, at.unsqueeze(-1).expand(*at.shape, x.shape[-1]))


def spread(logits: Tensor, there: Tensor | None = None) -> Tensor:
    """M = max - mean over the last axis, or over those of it that are `there`; in float32 or wider."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if there is None:
        return logits.amax(-1) - logits.mean(-1)
    mean = logits.masked_fill(~there, 0).sum(-1) / there.sum(-1).clamp(min=1)
    return logits.masked_fill(~there, -torch.inf).amax(-1) - mean


def measured(call: AttentionCall, k: Tensor, seen: Tensor | None, choice: ProbSparse) -> Tensor:
    """M [B, H, Q] of queries that see the same keys: a product with u of them."""
    K = k.shape[2]
    if seen is None:
        return spread(call.score.dense(call.q, k[:, :, choice.sample(K, call)]))
    seen = seen[..., 0]
    n = seen.sum(-1, keepdim=True)
    sampled = seen & choice.sampled(seen.cumsum(-1) - 1, n, call)
    at = sampled.sort(dim=-1, descending=True, stable=True).indices[
        ..., : choice.count(K)
    ]  # those that are, and then others
    here = sampled.gather(-1, at).unsqueeze(-2)
    return spread(call.score.dense(call.q, taken(k, at.expand(*k.shape[:2], -1))), here)


def measured_causal(call: AttentionCall, k: Tensor, choice: ProbSparse) -> Tensor:
    """M [B, H, N] where query i sees keys 0..i: each on u(i + 1) of its own."""
    q, N = call.q, k.shape[2]
    n = torch.arange(1, N + 1, device=k.device).unsqueeze(-1)
    at, there = choice.samples(n, N, call)
    many, each = max(1, GATHERED // (k.numel() // N * at.shape[1])), []
    for start in range(0, N, many):
        rows, end = slice(start, start + many), min(start + many, N)
        if end <= SHORT:
            logits = call.score.dense(q[:, :, rows], k[:, :, :end])
            logits = logits.gather(-1, at[rows].clamp(max=end - 1).expand(*logits.shape[:3], -1))
        else:
            picked = k[:, :, at[rows]]  # [B, H, n, u, D]
            logits = call.score.dense(q[:, :, rows].unsqueeze(3).flatten(1, 2), picked.flatten(1, 2)).squeeze(2)
            logits = logits.unflatten(1, picked.shape[1:3])
        each.append(spread(logits, there[rows]))
    return torch.cat(each, -1)


def rows(m: Tensor, seen: Tensor | None, call: AttentionCall, choice: ProbSparse) -> tuple[Tensor, Tensor | None]:
    """The queries of largest M, [B, H, u(Q)], of equal ones the first; where some are padding, which of these count."""
    Q, K, valid = m.shape[-1], call.k.shape[2], None
    if seen is not None and not call.crosses:
        rivals = seen[..., K - Q :, 0]  # those that stand at places that are seen
        m = m.masked_fill(~rivals, -torch.inf)
        u = choice.counts(rivals.sum(-1, keepdim=True))
        valid = (torch.arange(choice.count(Q), device=m.device) < u).expand(*m.shape[:2], -1)
    return m.sort(dim=-1, descending=True, stable=True).indices[..., : choice.count(Q)], valid


def in_one(call: AttentionCall) -> bool:
    """Whether all causal queries are answered in full by the fused kernel, the lazy ones for nothing: on short rows these are
    few. With dropout that kernel would keep the matrix."""
    return call.k.shape[2] <= SHORT and not call.dropout


def chosen_causal(m: Tensor, choice: ProbSparse) -> Tensor:
    """The queries i whose M is among the u(i + 1) largest of queries 0..i, [B, H, N]. Block by block: within it all pairs,
    before it the largest so far."""
    N, chosen = m.shape[-1], []
    u = choice.counts(torch.arange(1, N + 1, device=m.device))
    best, before = m[..., :0], torch.ones(BLOCK, BLOCK, dtype=torch.bool, device=m.device).tril(-1)
    for start in range(0, N, BLOCK):
        block = m[..., start : start + BLOCK]
        n = block.shape[-1]
        larger = (best.unsqueeze(-2) >= block.unsqueeze(-1)).sum(-1)
        larger = larger + ((block.unsqueeze(-2) >= block.unsqueeze(-1)) & before[:n, :n]).sum(-1)
        chosen.append(larger < u[start : start + BLOCK])
        best = torch.cat([best, block], -1)
        best = best.topk(min(choice.count(N), best.shape[-1]), sorted=False).values
    return torch.cat(chosen, -1)


def causal_rows(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The places of those that are chosen, ascending: [B, H, M], and which of these count: heads choose unequally many."""
    many = int(chosen.sum(-1).max())
    valid, at = chosen.sort(dim=-1, descending=True, stable=True)
    return at[..., :many], valid[..., :many]


def softmax(logits: Tensor) -> Tensor:
    """Of rows that see a key each: there is no empty one to look for."""
    return torch.softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(logits.dtype)


def answered(call: AttentionCall, at: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """What the queries at those places give: [B, H, M, Dv], by the softmax over all that they see."""
    logits = call.score.dense(taken(call.q, at), k)
    if seen is not None:
        logits = logits.masked_fill(~seen.mT, -torch.inf)
    weights = softmax(logits) if seen is None else call.score.normalize(logits, call)
    return (call.drop(weights, call.dropout) if call.dropout else weights) @ v


def answered_causal(call: AttentionCall, at: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same where a query sees the keys up to its own place. Places ascend, and most are early ones: some at a time, with
    the keys up to the last of them."""
    place, each = torch.arange(k.shape[2], device=k.device, dtype=torch.float32), []
    for rows in at.split(TOGETHER, -1):
        K = int(rows.amax()) + 1
        later = (place[:K] - rows.unsqueeze(-1)).clamp_(0, 1).mul_(HIDDEN).to(k.dtype)
        q, keys, scale = call.score.as_dot(taken(call.q, rows), k[:, :, :K])
        logits = scores_on(later, q * scale, keys)
        weights = softmax(logits)
        each.append((call.drop(weights, call.dropout) if call.dropout else weights) @ v[:, :, :K])
    return torch.cat(each, 2)


def means(call: AttentionCall, v: Tensor, seen: Tensor | None, parts: Form) -> Tensor:
    """What a lazy query gives: [B, H, Q, Dv], the mean (or sum) of the values that it may see. Dropout drops the same keys for
    all lazy queries of a head: their weights are one row."""
    wide = torch.promote_types(v.dtype, torch.float32)
    each = v.to(wide)
    if call.dropout:
        each = each * call.drop(torch.ones_like(each[..., :1]), call.dropout)
    N = v.shape[2]
    if parts.causal:
        total, many = each.cumsum(2), torch.arange(1, N + 1, device=v.device, dtype=wide).unsqueeze(-1)
    else:
        total = each.sum(2, keepdim=True)
        many = torch.tensor(N) if seen is None else seen.sum(2, keepdim=True).clamp(min=1)
    mean = total / many if parts.choice.lazy == "mean" else total
    return mean.to(v.dtype).expand(*call.q.shape[:3], -1)
