"""Attention along edge lists, as operations with a backward of their own: scores, softmax over a target's edges, weighted sum.

    logits = added_logits(q, k, u, edge, csr, act)  or  dot_logits(q, k, csr)      [G, E]      (the first: edge_added.py)
    weights = segment_softmax(logits, csr.rowptr, csr.row)                         [G, E]
    out = weighted_sum(weights, v, csr)                                            [T, G, D]

G heads (a batch folded in), T targets, S sources, E edges, in target-sorted order everywhere (`CSR`). Nodes come first,
[N, G, D], as a linear layer leaves them. None of them makes an [E, G, D] tensor. 16-bit inputs are computed in float32; logits
and weights stay so, sums and gradients return to the input's type. Each runs on CPU and CUDA and traces as one node.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.attention.ops.csr import CSR
from zoo.attention.ops.edge_added import added_logits
from zoo.attention.ops.edge_chunks import blocks, gather_both, gather_dots, gather_sums, wide
from zoo.attention.ops.edge_rows import by_edge

__all__ = ["added_logits", "dot_logits", "segment_softmax", "weighted_sum"]

# ---------------------------------------------------------------------------------------------------------- dot scores


def dot_logits(q: Tensor, k: Tensor, csr: CSR) -> Tensor:
    """logit[g, e] = q[row_e, g] . k[col_e, g]: q [T, G, D], k [S, G, D] -> [G, E]."""
    return _dot_logits(q, k, list(csr))


@torch.library.custom_op("zoo::dot_logits", mutates_args=())
def _dot_logits(q: Tensor, k: Tensor, plan: Sequence[Tensor]) -> Tensor:
    csr = CSR(*plan)
    return gather_dots(q, k, csr.row, csr.rowptr, csr.col)


@_dot_logits.register_fake
def _(q, k, plan):
    return q.new_empty(q.shape[1], plan[1].shape[0], dtype=wide(q, k))


def _pair_setup(ctx, inputs, output):
    left, right, plan = inputs
    ctx.save_for_backward(left, right, *plan)


def _dot_autograd(ctx, grad):
    q, k, *plan = ctx.saved_tensors
    dq = _weighted_sum(grad, k, plan).to(q.dtype) if ctx.needs_input_grad[0] else None
    dk = _transposed_sum(grad, q, plan).to(k.dtype) if ctx.needs_input_grad[1] else None
    return dq, dk, [None] * 8


_dot_logits.register_autograd(_dot_autograd, setup_context=_pair_setup)


# -------------------------------------------------------------------------------------------------------- weighted sum


def weighted_sum(weights: Tensor, v: Tensor, csr: CSR) -> Tensor:
    """out[t, g] = sum over the edges e of target t of weights[g, e] v[col_e, g]: [G, E], [S, G, D] -> [T, G, D].

    A target without edges gets 0.
    """
    return _weighted_sum(weights, v, list(csr))


@torch.library.custom_op("zoo::weighted_sum", mutates_args=())
def _weighted_sum(weights: Tensor, v: Tensor, plan: Sequence[Tensor]) -> Tensor:
    csr = CSR(*plan)
    return gather_sums(weights, v, csr.col, csr.rowptr)


@_weighted_sum.register_fake
def _(weights, v, plan):
    return v.new_empty(plan[0].shape[0] - 1, *v.shape[1:])


@torch.library.custom_op("zoo::transposed_sum", mutates_args=())
def _transposed_sum(weights: Tensor, x: Tensor, plan: Sequence[Tensor]) -> Tensor:
    """`weighted_sum` along the edges turned round: x [T, G, D] -> [S, G, D]."""
    csr = CSR(*plan)
    return gather_sums(weights, x, csr.t_col, csr.t_rowptr, csr.t_order)


@_transposed_sum.register_fake
def _(weights, x, plan):
    return x.new_empty(plan[4].shape[0] - 1, *x.shape[1:])


@torch.library.custom_op("zoo::weighted_sum_backward", mutates_args=())
def _sum_backward(grad: Tensor, weights: Tensor, v: Tensor, plan: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(_dot_logits(grad, v), _transposed_sum(weights, grad)) in the types of weights and v, with `grad` read once."""
    csr, each = CSR(*plan), by_edge(weights, wide(weights, v, grad))
    dv = gather_both(each, v, grad, csr.t_order, csr.t_row, csr.t_rowptr, csr.t_col)
    return each.T.to(weights.dtype), dv.to(v.dtype)


@_sum_backward.register_fake
def _(grad, weights, v, plan):
    return weights.new_empty(weights.shape[::-1]).T, v.new_empty(v.shape)


def _sum_autograd(ctx, grad):
    weights, v, *plan = ctx.saved_tensors
    dw = dv = None
    match ctx.needs_input_grad[:2]:
        case (True, True):
            dw, dv = _sum_backward(grad, weights, v, plan)
        case (True, False):
            dw = _dot_logits(grad, v, plan).to(weights.dtype)
        case (False, True):
            dv = _transposed_sum(weights, grad, plan)
    return dw, dv, [None] * 8


_weighted_sum.register_autograd(_sum_autograd, setup_context=_pair_setup)


# ------------------------------------------------------------------------------------------------------------- softmax


def segment_softmax(logits: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    """Softmax over each run ptr[m] : ptr[m + 1] of edges: [G, E], [M + 1], the run of each edge [E] -> [G, E].

    -inf forbids an edge; a run with nothing else gives 0 and gradients of 0.
    """
    return _segment_softmax(logits, ptr, seg)


@torch.library.custom_op("zoo::segment_softmax", mutates_args=())
def _segment_softmax(logits: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    out = torch.empty_like(logits, dtype=wide(logits), memory_format=torch.contiguous_format)
    for b in blocks(ptr) if len(seg) else ():
        run = seg[b.edges] - b.nodes.start
        each = out.new_empty(len(run))  # what an edge is told of its run; the next head has the same
        for x, e in zip(logits[:, b.edges], out[:, b.edges], strict=True):
            x = x.to(out.dtype)
            top = torch.segment_reduce(x, "max", offsets=b.ptr, unsafe=True)
            top.masked_fill_(top == -torch.inf, 0)
            torch.sub(x, torch.index_select(top, 0, run, out=each), out=e).exp_()
            total = torch.segment_reduce(e, "sum", offsets=b.ptr, unsafe=True)
            e /= torch.index_select(total.masked_fill_(total == 0, 1), 0, run, out=each)
    return out


@torch.library.custom_op("zoo::segment_softmax_backward", mutates_args=())
def _softmax_backward(grad: Tensor, weights: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    out = torch.empty_like(weights, memory_format=torch.contiguous_format)
    for b in blocks(ptr) if len(seg) else ():
        run = seg[b.edges] - b.nodes.start
        each = out.new_empty(len(run))
        for g, w, d in zip(grad[:, b.edges], weights[:, b.edges], out[:, b.edges], strict=True):
            torch.mul(g, w, out=d)
            total = torch.segment_reduce(d, "sum", offsets=b.ptr, unsafe=True)
            d.addcmul_(w, torch.index_select(total, 0, run, out=each), value=-1)
    return out


@_segment_softmax.register_fake
def _(logits, ptr, seg):
    return torch.empty_like(logits, dtype=wide(logits), memory_format=torch.contiguous_format)


@_softmax_backward.register_fake
def _(grad, weights, ptr, seg):
    return torch.empty_like(weights, memory_format=torch.contiguous_format)


def _softmax_setup(ctx, inputs, output):
    logits, ptr, seg = inputs
    ctx.dtype = logits.dtype
    ctx.save_for_backward(output, ptr, seg)


def _softmax_autograd(ctx, grad):
    weights, ptr, seg = ctx.saved_tensors
    return _softmax_backward(grad, weights, ptr, seg).to(ctx.dtype), None, None


_segment_softmax.register_autograd(_softmax_autograd, setup_context=_softmax_setup)
