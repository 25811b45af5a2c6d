"""Attention over a list of edges, sorted once: scores, a softmax for each target, a weighted sum of the sources.

    out_t = sum_{e into t} softmax_e(score(q_t, k_source(e), edge_e)) v_source(e)

Velickovic et al. 2018, equations 2 to 4. A score that is a sum or a dot product (`as_additive`, `as_dot`) needs no row for each
edge: its operations (edge_ops.py) never build [E, H, D]. Any other score with `pairs` gathers them.
"""

import torch
from torch import Tensor

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.edges import Edges
from zoo.attention.ops.csr import CSR
from zoo.attention.ops.edge_ops import added_logits, dot_logits, weighted_sum


class EdgeList:
    name = "edge_list"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        reasons: tuple[str, ...] = ()
        if call.pattern.edges is None:
            return ("its pattern has no list of edges",)
        if not call.pattern.chooses_edges:
            reasons += ("its pattern chooses keys in a matrix, not among a target's edges (no edit_segments)",)
        if not call.score.normalizes_edges:
            reasons += (f"{type(call.score).__name__} says nothing of edges (no normalize_segments)",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        edges = call.pattern.edges
        assert edges is not None, "why_not refuses other patterns"
        csr, seen = edges.sorted, call.edge_mask()
        k, v = visible(call, edges, seen)
        logits = self._logits(call, k, edges, csr)  # [G, E] in sorted order; G = B x H
        for term in (call.edge_bias(), None if seen is None else torch.where(seen, 0.0, -torch.inf)):
            if term is not None:
                logits = logits + flat(term, call).index_select(1, csr.order).to(logits.dtype)
        for choice in call.pattern.choices:
            logits = choice.edit_segments(logits, csr.rowptr, csr.row)
        weights = call.score.normalize_segments(logits, *runs(edges, csr))
        kept = call.drop(weights, call.dropout) if call.dropout else weights
        out = weighted_sum(kept, rows(v), csr)
        if call.edge_values is not None:  # on the same edges, each edge its own source
            out = out + weighted_sum(kept, each(call.edge_values, csr, call), by_edge(csr))
        B, H = call.q.shape[:2]
        return AttentionOutput(
            out.unflatten(1, (B, H)).permute(1, 2, 0, 3).to(call.v.dtype),
            unsorted(weights, csr).unflatten(0, (B, H)).to(call.q.dtype) if call.need_weights else None,
            unsorted(logits, csr).unflatten(0, (B, H)) if call.need_logits else None,
        )

    @staticmethod
    def _logits(call: AttentionCall, k: Tensor, edges: Edges, csr: CSR) -> Tensor:
        score, B = call.score, call.q.shape[0]
        if "additive" in score.forms:
            q, k, u, act, edge = score.as_additive(call.q, k, edges.features)
            e = None if edge is None else each(edge, csr, call)
            return added_logits(rows(q), rows(k), u.repeat(B, 1), e, csr, act)
        if "dot" in score.forms and edges.features is None:
            q, k, scale = score.as_dot(call.q, k)
            return dot_logits(rows(q), rows(k), csr) * scale  # numbers on edges, fewer than those of q
        source, target = edges.edge_index
        logits = score.pairs(call.q.index_select(2, target), k.index_select(2, source), edges.features)
        return logits.flatten(0, 1).index_select(1, csr.order)


def rows(x: Tensor) -> Tensor:
    """[B, H, N, D] -> [N, B H, D]: a view of what a linear map made, nodes first."""
    return x.permute(2, 0, 1, 3).flatten(1, 2)


def runs(edges: Edges, csr: CSR) -> tuple[Tensor, Tensor]:
    """(ptr, run of each sorted edge): one softmax is taken over each run, a target's edges or one group of them."""
    if edges.group is None:
        return csr.rowptr, csr.row
    group, row = edges.group[csr.order], csr.row
    before = (torch.arange(row.shape[0], device=row.device) - 1).clamp(min=0)
    run = ((row != row[before]) | (group != group[before])).cumsum(0)
    return torch.searchsorted(run, torch.arange(run.shape[0] + 1, device=run.device)), run  # as many as edges at most


def visible(call: AttentionCall, edges: Edges, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """k and v [B, H, S, D] with zeros at sources whose edges nobody may see, so that a NaN there goes nowhere.

    At a source without edges, v is read by no sum; k may be by the score's parameters (0 x NaN in their gradients).
    """
    k, v = call.repeat_kv(call.k), call.repeat_kv(call.v)
    if seen is None:
        read = edges.read_sources if any(True for _ in call.score.parameters()) else None
        return (k if read is None else torch.where(read[:, None], k, 0)), v
    csr = edges.sorted
    count = torch.nn.functional.pad(seen[..., csr.order][..., csr.t_order].cumsum(-1), (1, 0))
    read = (count[..., csr.t_rowptr[1:]] > count[..., csr.t_rowptr[:-1]])[..., None]  # [b, h, S, 1]
    return torch.where(read, k, 0), torch.where(read, v, 0)


def by_edge(csr: CSR) -> CSR:
    """The plan in which every edge is its own source: sums of what stands on the edges themselves."""
    each = torch.arange(csr.row.shape[0] + 1, device=csr.row.device)
    return CSR(csr.rowptr, csr.row, each[:-1], each[:-1], each, each[:-1], csr.row, each[:-1])


def each(edge: Tensor, csr: CSR, call: AttentionCall) -> Tensor:
    """[E, H, W] in the order of the input -> [E, B H, W] sorted."""
    edge, B = edge.index_select(0, csr.order), call.q.shape[0]
    return edge if B == 1 else edge.repeat(1, B, 1)


def flat(term: Tensor, call: AttentionCall) -> Tensor:
    """Broadcastable to [B, H, E] -> [B H, E]."""
    return term.expand(*call.q.shape[:2], -1).flatten(0, 1)


def unsorted(x: Tensor, csr: CSR) -> Tensor:
    """[G, E] sorted -> in the order of the input."""
    return torch.empty_like(x).index_copy(1, csr.order, x)
