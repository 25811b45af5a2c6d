"""The oracle: the equation written down. It computes every call and returns weights and logits."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.ops.narrow import NARROW, mixed, scores_on
from zoo.attention.patterns import Pattern

# Narrow heads on short rows: there two matrix products train faster than the CPU's fused kernel with many heads, while on
# rows of 200 that kernel wins (python -m benchmarks kernels).
SHORT = 128
# A choice by content, which is made on the matrix here: up to so many keys that is faster than sorting into buckets.
FEW = 512


def is_tiny(call: AttentionCall) -> bool:
    return call.q.device.type == "cpu" and call.q.shape[-1] <= NARROW and call.k.shape[2] <= SHORT


def drops_faster(call: AttentionCall) -> bool:
    """With dropout the CPU's fused kernel keeps the matrix of weights too, and draws one number after another."""
    return bool(call.dropout) and call.q.device.type == "cpu" and call.drop is not F.dropout


def chooses_among_few(call: AttentionCall) -> bool:
    return call.pattern.by_content and call.q.device.type == "cpu" and call.k.shape[2] <= FEW


class Reference:
    name = "reference"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        if call.pattern.edges is not None and call.score.uses_places:
            return (f"{type(call.score).__name__} goes by the places of keys, which nodes of a graph have not",)
        return ()

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        if call.pattern.edges is not None:
            return ("loops over the targets in Python",)
        fast = is_tiny(call) or drops_faster(call) or chooses_among_few(call)
        return () if fast else ("keeps the whole [B, H, Q, K] matrix of weights",)

    def run(self, call: AttentionCall) -> AttentionOutput:
        if call.pattern.edges is not None:
            return over_edges(call)
        k, v = (call.repeat_kv(x) for x in call.zero_hidden(call.mask()))
        logits = biased(call, k)
        logits = Pattern.edit(call.pattern, logits, call)
        allowed = logits
        if call.pattern.by_content:
            logits = call.pattern.edit(logits, call)
        weights = call.score.normalize(logits, call) if 0 not in logits.shape[-2:] else logits
        if not call.pattern.is_distribution:
            weights = call.pattern.finish(weights, allowed, call)
        kept = call.drop(weights, call.dropout) if call.dropout else weights
        return AttentionOutput(
            mixed(kept, v), weights if call.need_weights else None, logits if call.need_logits else None
        )


def biased(call: AttentionCall, k: torch.Tensor) -> torch.Tensor:
    """score(q, k) + bias: [B, H, Q, K]. A whole bias on a dot product is added by the product itself, in one pass."""
    bias, size = call.bias, (*call.q.shape[:3], k.shape[2])
    if bias is None:
        return call.score.dense(call.q, k)
    if call.finite_bias and "dot" in call.score.forms and bias.shape == size and bias.dtype == call.q.dtype:
        q, k, scale = call.score.as_dot(call.q, k)
        return scores_on(bias, q * scale, k)
    logits = call.score.dense(call.q, k)
    return logits + bias.to(logits.dtype)


def over_edges(call: AttentionCall) -> AttentionOutput:
    """One target after another, and of its edges one group after another. Weights and logits are [B, H, E]."""
    edges = call.pattern.edges
    assert edges is not None  # or it would be no call for this
    (source, target), seen, bias = edges.edge_index, call.edge_mask(), call.edge_bias()
    group = torch.zeros_like(target) if edges.group is None else edges.group
    B, H, T, _ = call.q.shape
    out = call.v.new_zeros(B, H, T, call.v.shape[-1])
    weights = call.q.new_zeros(B, H, len(target))
    logits = call.q.new_full((B, H, len(target)), -torch.inf)
    k, v = call.repeat_kv(call.k), call.repeat_kv(call.v)
    for t in range(T):
        at = (target == t).nonzero()[:, 0]
        row_k, row_v = k[:, :, source[at]], v[:, :, source[at]]
        if seen is not None:
            visible = seen[..., at].expand(B, H, -1)[..., None]
            row_k, row_v = torch.where(visible, row_k, 0), torch.where(visible, row_v, 0)
        edge = None if edges.features is None else edges.features[at]
        row = call.score.pairs(call.q[:, :, [t] * len(at)], row_k, edge)
        if bias is not None:
            row = row + bias[..., at].to(row.dtype)
        if seen is not None:
            row = row.masked_fill(~seen[..., at], -torch.inf)
        for choice in call.pattern.choices:
            row = choice.edit(row.unsqueeze(2), replace(call, pattern=choice)).squeeze(2)
        if call.edge_values is not None:
            row_v = row_v + call.edge_values[at].transpose(0, 1)
        for g in sorted(set(group[at].tolist())):
            of = (group[at] == g).nonzero()[:, 0]
            weight = call.score.normalize(row[..., of].unsqueeze(2), call).squeeze(2)
            kept = call.drop(weight, call.dropout) if call.dropout else weight
            out = out.index_add(2, target.new_tensor([t]), kept.unsqueeze(2) @ row_v[:, :, of])
            weights, logits = weights.index_copy(2, at[of], weight), logits.index_copy(2, at[of], row[..., of])
    return AttentionOutput(out, weights if call.need_weights else None, logits if call.need_logits else None)
