"""Attention along edge lists, as operations with a backward of their own: scores, softmax over a target's edges, weighted sum.

    logits = added_logits(q, k, u, edge, csr, act)  or  dot_logits(q, k, csr)      [G, E]
    weights = segment_softmax(logits, csr.rowptr, csr.row)                         [G, E]
    out = weighted_sum(weights, v, csr)                                            [T, G, D]

G heads (a batch folded in), T targets, S sources, E edges, in target-sorted order everywhere (`CSR`). Nodes come first,
[N, G, D], as a linear layer leaves them. None of them makes an [E, G, D] tensor. 16-bit inputs are computed in float32; logits
and weights stay so, sums and gradients return to the input's type. Each runs on CPU and CUDA and traces as one node.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.attention.kernels.csr import CSR
from zoo.attention.kernels.edge_chunks import chunks, far, gather_dots, gather_sums, near, run_sums, wide
from zoo.errors import ZooError, nearest

aten = torch.ops.aten


class Activation(NamedTuple):
    apply: Callable[[Tensor], Tensor]  # in place
    backward: Callable[..., Tensor]  # (gradient, OUTPUT, grad_input=): what each of these can be told from


def activation(name: str) -> Activation:
    """The activation called `name`: "leaky_relu:0.2" (any slope >= 0), "tanh", "relu", "sigmoid", "identity"."""
    kind, _, setting = name.partition(":")
    if kind == "leaky_relu":
        try:
            slope = float(setting)
        except ValueError:
            raise ZooError(f"act={name!r} lacks its slope: write 'leaky_relu:0.2'.") from None
        if not slope >= 0:
            raise ZooError(f"act={name!r} has a slope below 0: give one of at least 0.")
        backward = aten.leaky_relu_backward.grad_input
        return Activation(
            lambda z: aten.leaky_relu_(z, slope), lambda grad, h, **out: backward(grad, h, slope, True, **out)
        )
    kinds = {
        "tanh": Activation(torch.tanh_, aten.tanh_backward.grad_input),
        "relu": Activation(torch.relu_, lambda grad, h, **out: aten.threshold_backward.grad_input(grad, h, 0, **out)),
        "sigmoid": Activation(torch.sigmoid_, aten.sigmoid_backward.grad_input),
        "identity": Activation(lambda z: z, lambda grad, h, grad_input: grad_input.copy_(grad)),
    }
    if name not in kinds:
        raise ZooError(f"act={name!r} is no activation: {nearest(name, [*kinds, 'leaky_relu:0.2'])}")
    return kinds[name]


# ---------------------------------------------------------------------------------------------------- additive scores


def added_logits(q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, csr: CSR, act: str) -> Tensor:
    """logit[g, e] = sum_w u[g, w] act(q[row_e, g, w] + k[col_e, g, w] + edge[e, g, w]).

    q [T, G, W], k [S, G, W], u [G, W], edge [E, G, W] in sorted order or None -> [G, E]. `act`: see `activation`.
    """
    activation(act)
    return _added_logits(q, k, u, edge, act, list(csr))


@torch.library.custom_op("zoo::added_logits", mutates_args=())
def _added_logits(q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, act: str, plan: Sequence[Tensor]) -> Tensor:
    csr, dtype, f = CSR(*plan), wide(q, k, u), activation(act)
    q, k = q.contiguous(), k.contiguous()
    out = q.new_empty(len(csr.row), q.shape[1], dtype=dtype)
    for c in chunks(csr.row, csr.rowptr, q, dtype):
        z = far(k, csr.col[c.edges], dtype).add_(near(q, csr.row[c.edges], c.buffer))
        if edge is not None:
            z += edge[c.edges]
        torch.sum(f.apply(z).mul_(u), -1, out=out[c.edges])
    return out.T.contiguous()


@torch.library.custom_op("zoo::added_logits_backward", mutates_args=())
def _added_backward(
    grad: Tensor, q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, act: str,
    ptr: Tensor, row: Tensor, col: Tensor, order: Tensor | None, needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of (q, u, edge) as far as `needs` says; the others come back empty.

    Edges run in the order of `row`; `order` takes that to the order of `grad` and `edge` (None: it is the same).
    """
    dtype, f = wide(q, k, u), activation(act)
    q, k = q.contiguous(), k.contiguous()
    dq = q.new_zeros(q.shape if needs[0] else 0, dtype=dtype)
    du = u.new_zeros(u.shape if needs[1] else 0, dtype=dtype)
    dedge = q.new_empty(len(row) if needs[2] else 0, *u.shape, dtype=dtype)
    grad = grad if order is None else grad.index_select(1, order)
    grad, u = grad.to(dtype).T.contiguous().unsqueeze(-1), u.to(dtype)  # [E, G, 1]
    for c in chunks(row, ptr, q, dtype):
        h = far(k, col[c.edges], dtype).add_(near(q, row[c.edges], c.buffer))
        if edge is not None:
            h += edge[c.edges] if order is None else edge.index_select(0, order[c.edges])
        f.apply(h)
        if needs[1]:
            du += torch.mul(h, grad[c.edges], out=c.buffer).sum(0)
        if needs[0] or needs[2]:
            dz = f.backward(u, h, grad_input=c.buffer).mul_(grad[c.edges])
            if needs[2]:
                dedge[c.edges] = dz
            if needs[0]:
                dq[c.nodes] += run_sums(dz, c.ptr)
    return dq.to(q.dtype), du, dedge if edge is None else dedge.to(edge.dtype)


@_added_logits.register_fake
def _(q, k, u, edge, act, plan):
    return q.new_empty(q.shape[1], plan[1].shape[0], dtype=wide(q, k, u))


@_added_backward.register_fake
def _(grad, q, k, u, edge, act, ptr, row, col, order, needs):
    dtype = wide(q, k, u)
    dedge = q.new_empty(row.shape[0] if needs[2] else 0, *u.shape, dtype=dtype if edge is None else edge.dtype)
    return q.new_empty(q.shape if needs[0] else 0), u.new_empty(u.shape if needs[1] else 0, dtype=dtype), dedge


def _added_setup(ctx, inputs, output):
    q, k, u, edge, ctx.act, plan = inputs
    ctx.save_for_backward(q, k, u, edge, *plan)


def _added_autograd(ctx, grad):
    q, k, u, edge, *plan = ctx.saved_tensors
    csr, (wants_q, wants_k, wants_u, wants_edge) = CSR(*plan), ctx.needs_input_grad[:4]
    dq = dk = du = dedge = None
    if wants_q or wants_u or wants_edge:
        needs = [wants_q, wants_u, wants_edge]
        dq, du, dedge = _added_backward(grad, q, k, u, edge, ctx.act, csr.rowptr, csr.row, csr.col, None, needs)
    if wants_k:
        dk, _, _ = _added_backward(
            grad, k, q, u, edge, ctx.act, csr.t_rowptr, csr.t_row, csr.t_col, csr.t_order, [True, False, False]
        )
    grads = (dq, dk, du if du is None else du.to(u.dtype), dedge)
    return *(g if wanted else None for g, wanted in zip(grads, ctx.needs_input_grad, strict=False)), None, [None] * 8


_added_logits.register_autograd(_added_autograd, setup_context=_added_setup)


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


def _sum_autograd(ctx, grad):
    weights, v, *plan = ctx.saved_tensors
    dw = _dot_logits(grad, v, plan).to(weights.dtype) if ctx.needs_input_grad[0] else None
    dv = _transposed_sum(weights, grad, plan) if ctx.needs_input_grad[1] else None
    return dw, dv, [None] * 8


_weighted_sum.register_autograd(_sum_autograd, setup_context=_pair_setup)


@torch.library.custom_op("zoo::transposed_sum", mutates_args=())
def _transposed_sum(weights: Tensor, x: Tensor, plan: Sequence[Tensor]) -> Tensor:
    """`weighted_sum` along the edges turned round: x [T, G, D] -> [S, G, D]."""
    csr = CSR(*plan)
    return gather_sums(weights.index_select(1, csr.t_order), x, csr.t_col, csr.t_rowptr)


@_transposed_sum.register_fake
def _(weights, x, plan):
    return x.new_empty(plan[4].shape[0] - 1, *x.shape[1:])


# ------------------------------------------------------------------------------------------------------------- softmax


def segment_softmax(logits: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    """Softmax over each run ptr[m] : ptr[m + 1] of edges: [G, E], [M + 1], the run of each edge [E] -> [G, E].

    -inf forbids an edge; a run with nothing else gives 0 and gradients of 0.
    """
    return _segment_softmax(logits, ptr, seg)


@torch.library.custom_op("zoo::segment_softmax", mutates_args=())
def _segment_softmax(logits: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    out = torch.empty_like(logits, dtype=wide(logits), memory_format=torch.contiguous_format)
    if not len(seg):
        return out
    for g in range(len(logits)):
        x = logits[g].to(out.dtype)
        top = torch.segment_reduce(x, "max", offsets=ptr, unsafe=True)
        top.masked_fill_(top == -torch.inf, 0)
        e = torch.sub(x, top.index_select(0, seg), out=out[g]).exp_()
        total = torch.segment_reduce(e, "sum", offsets=ptr, unsafe=True)
        e /= total.masked_fill_(total == 0, 1).index_select(0, seg)
    return out


@torch.library.custom_op("zoo::segment_softmax_backward", mutates_args=())
def _softmax_backward(grad: Tensor, weights: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    out = grad * weights
    for g in range(len(out) if len(seg) else 0):
        total = torch.segment_reduce(out[g], "sum", offsets=ptr, unsafe=True)
        out[g].addcmul_(weights[g], total.index_select(0, seg), value=-1)
    return out


@_segment_softmax.register_fake
def _(logits, ptr, seg):
    return torch.empty_like(logits, dtype=wide(logits), memory_format=torch.contiguous_format)


@_softmax_backward.register_fake
def _(grad, weights, ptr, seg):
    return torch.empty_like(weights)


def _softmax_setup(ctx, inputs, output):
    logits, ptr, seg = inputs
    ctx.dtype = logits.dtype
    ctx.save_for_backward(output, ptr, seg)


def _softmax_autograd(ctx, grad):
    weights, ptr, seg = ctx.saved_tensors
    return _softmax_backward(grad.contiguous(), weights, ptr, seg).to(ctx.dtype), None, None


_segment_softmax.register_autograd(_softmax_autograd, setup_context=_softmax_setup)
