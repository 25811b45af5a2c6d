"""Edge lists on a GPU in one pass: scores, online softmax and sum of a target's edges in one Triton program, both ways."""

from typing import Any

import torch

from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.kernels.edge_list import each, flat, rows, visible
from zoo.attention.ops.edge_triton import MAX_WIDTH, edge_attention


class EdgeFused:
    name = "edge_fused"

    def why_not(self, call: AttentionCall) -> tuple[str, ...]:
        edges, score = call.pattern.edges, call.score
        if edges is None:
            return ("its pattern has no list of edges",)
        reasons: tuple[str, ...] = ()
        if call.q.device.type != "cuda":
            reasons += (f"it runs on CUDA, not on {call.q.device.type}",)
        if not ("additive" in score.forms or ("dot" in score.forms and edges.features is None)):
            reasons += (f"{type(score).__name__} is here neither a sum nor a dot product (as_additive, as_dot)",)
        if not score.is_softmax:
            reasons += (f"{type(score).__name__} does not normalise by softmax",)
        if call.pattern.by_content:
            reasons += ("its pattern chooses edges by their content",)
        if edges.group is not None:
            reasons += ("it takes one softmax over all edges of a target, not one a group",)
        if call.edge_values is not None:
            reasons += ("it adds nothing to the values on edges",)
        if max(call.q.shape[-1], call.v.shape[-1]) > MAX_WIDTH:
            reasons += (f"heads are wider than {MAX_WIDTH}",)
        if call.need_weights or call.need_logits:
            reasons += ("it returns neither weights nor logits",)
        return reasons

    def why_slow(self, call: AttentionCall) -> tuple[str, ...]:
        return ()

    def run(self, call: AttentionCall) -> AttentionOutput:
        edges = call.pattern.edges
        assert edges is not None, "why_not refuses other patterns"
        csr, seen, score, (B, H) = edges.sorted, call.edge_mask(), call.score, call.q.shape[:2]
        k, v = visible(call, edges, seen)
        if "additive" in score.forms:
            q, k, u, act, edge = score.as_additive(call.q, k, edges.features)
            how: dict[str, Any] = dict(
                form="added", act=act, u=u.repeat(B, 1), edge=None if edge is None else each(edge, csr, call)
            )
        else:
            q, k, scale = score.as_dot(call.q, k)
            how = dict(form="dot", scale=float(scale))
        bias = call.edge_bias()
        if seen is not None:
            bias = torch.where(seen, 0.0 if bias is None else bias, -torch.inf)
        bias = None if bias is None else flat(bias, call)[:, csr.order].to(q.dtype)
        keep = None
        if call.dropout:
            chance = 1 - call.dropout
            keep = q.new_empty(B * H, csr.row.shape[0]).bernoulli_(chance).div_(chance)
        out, _ = edge_attention(rows(q), rows(k), rows(v), csr, bias=bias, keep=keep, **how)
        return AttentionOutput(out.unflatten(1, (B, H)).permute(1, 2, 0, 3))
