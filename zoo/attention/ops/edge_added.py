"""Additive scores along edge lists, as one operation with a backward of its own: logits u . act(q + k + edge).

Where a head is one number wide (GAT), they are computed as numbers on edges, [G, E]. Wider (GATv2), in chunks of edges:

    dq_t = u P_t,  P_t = sum_{e into t} g_e act'(z_e),    dk_s alike over the edges out of s,    du = sum_e g_e act(z_e)

For activations with act(z) = act'(z) z, as (leaky) ReLU, du is what the nodes have already: sum_t q_t P_t + sum_s k_s P_s.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.attention.ops.csr import CSR
from zoo.attention.ops.edge_chunks import NODES, Chunk, chunks, run_sums, wide
from zoo.attention.ops.edge_rows import by_edge, far, near, rows_of, take
from zoo.errors import ZooError, nearest

aten = torch.ops.aten


class Activation(NamedTuple):
    apply: Callable[[Tensor], Tensor]  # in place
    backward: Callable[..., Tensor]  # (gradient, OUTPUT, grad_input=): what each of these can be told from
    linear: bool = (
        False  # on either side of 0: act(z) = act'(z) z, and `backward` takes the input as well as the output
    )


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
            lambda z: aten.leaky_relu_(z, slope), lambda grad, h, **out: backward(grad, h, slope, True, **out), True
        )
    kinds = {
        "tanh": Activation(torch.tanh_, aten.tanh_backward.grad_input),
        "relu": Activation(
            torch.relu_, lambda grad, h, **out: aten.threshold_backward.grad_input(grad, h, 0, **out), True
        ),
        "sigmoid": Activation(torch.sigmoid_, aten.sigmoid_backward.grad_input),
        "identity": Activation(lambda z: z, lambda grad, h, grad_input: grad_input.copy_(grad), True),
    }
    if name not in kinds:
        raise ZooError(f"act={name!r} is not an activation: {nearest(name, [*kinds, 'leaky_relu:0.2'])}")
    return kinds[name]


def added_logits(q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, csr: CSR, act: str) -> Tensor:
    """logit[g, e] = sum_w u[g, w] act(q[row_e, g, w] + k[col_e, g, w] + edge[e, g, w]).

    q [T, G, W], k [S, G, W], u [G, W], edge [E, G, W] in sorted order or None -> [G, E]. `act`: see `activation`.
    """
    activation(act)
    return _added_logits(q, k, u, edge, act, list(csr))


@torch.library.custom_op("zoo::added_logits", mutates_args=())
def _added_logits(q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, act: str, plan: Sequence[Tensor]) -> Tensor:
    csr, dtype, f = CSR(*plan), wide(q, k, u), activation(act)
    out = q.new_empty(q.shape[1], len(csr.row), dtype=dtype)
    if q.shape[2] == 1:
        for c, z in _numbers(q, k, edge, csr, dtype):
            out[:, c.edges] = f.apply(z).mul_(u[:, 0]).T
        return out
    for c, z in _rows(q, k, edge, csr, dtype):
        out[:, c.edges] = f.apply(z).mul_(u).sum(-1).T
    return out


@torch.library.custom_op("zoo::added_logits_backward", mutates_args=())
def _added_backward(
    grad: Tensor, q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, act: str, plan: Sequence[Tensor],
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of (q, k, u, edge) as far as `needs` says; the others come back empty."""
    pull = _pull_numbers if q.shape[2] == 1 else _pull_rows
    made = pull(grad, q, k, u, edge, CSR(*plan), activation(act), needs)
    dq, dk, du, dedge = (
        x.to(like.dtype) if need and x is not None and like is not None else q.new_empty(0)
        for x, like, need in zip(made, (q, k, u, edge), needs, strict=True)
    )
    return dq, dk, du, dedge


def _numbers(q: Tensor, k: Tensor, edge: Tensor | None, csr: CSR, dtype: torch.dtype) -> Iterator[tuple[Chunk, Tensor]]:
    """(chunk, q + k + edge on its edges [edges, G]) for heads one number wide."""
    q, k = (x[..., 0].to(dtype).contiguous() for x in (q, k))
    for c in chunks(csr.row, csr.rowptr, q, dtype):
        z = take(k, csr.col[c.edges]).add_(take(q, csr.row[c.edges]))
        yield c, z if edge is None else z.add_(edge[c.edges, :, 0])


def _pull_numbers(grad, q, k, u, edge, csr, f, needs) -> tuple[Tensor | None, ...]:
    dtype = wide(q, k, u)
    u = u.to(dtype)[:, 0]
    dz, du = grad.new_empty(*grad.shape[::-1], dtype=dtype), torch.zeros_like(u)
    dq = _sums_like(q[..., 0], csr, dtype) if needs[0] else None
    for c, z in _numbers(q, k, edge, csr, dtype):
        f.apply(z)
        g = by_edge(grad[:, c.edges], dtype)
        if needs[2]:
            du += torch.mul(g, z, out=c.buffer).sum(0)
        dz[c.edges] = f.backward(g.mul_(u), z, grad_input=z)
        if dq is not None:
            c.write(run_sums(z, c.ptr), dq)
    dk = F.embedding_bag(csr.t_order, dz, csr.t_rowptr, mode="sum", include_last_offset=True) if needs[1] else None
    return tuple(None if x is None else x.unsqueeze(-1) for x in (dq, dk, du, dz))


def _rows(
    q: Tensor, k: Tensor, edge: Tensor | None, csr: CSR, dtype: torch.dtype, turned: bool = False
) -> Iterator[tuple[Chunk, Tensor]]:
    """(chunk, q + k + edge on its edges [edges, G, W]), the chunk's buffer free to use; `turned`: sorted by source."""
    row, ptr, col = (csr.t_row, csr.t_rowptr, csr.t_col) if turned else (csr.row, csr.rowptr, csr.col)
    q, k = (k, q) if turned else (q, k)
    here, there = rows_of(q), rows_of(k)
    for c in chunks(row, ptr, q, dtype):
        z = far(there, col[c.edges], c.buffer).add_(near(here, row[c.edges], c.buffer))
        if edge is not None:
            z += edge.index_select(0, csr.t_order[c.edges]) if turned else edge[c.edges]
        yield c, z


def _pull_rows(grad, q, k, u, edge, csr, f, needs) -> tuple[Tensor | None, ...]:
    dtype = wide(q, k, u)
    grad, u = by_edge(grad, dtype), u.to(dtype)
    of_nodes = f.linear and needs[2]  # du is told from the nodes' sums
    du: Any = torch.zeros_like(u) if needs[2] else None
    dedge: Any = q.new_empty(len(csr.row), *u.shape, dtype=dtype) if needs[3] else None
    dq = dk = None
    if needs[0] or needs[2] or needs[3]:
        dq = _sums_like(q, csr, dtype)
        for c, z in _rows(q, k, edge, csr, dtype):
            g = grad[c.edges].unsqueeze(-1)
            h = z if f.linear else f.apply(z)
            if needs[2] and not f.linear:
                du += torch.mul(h, g, out=c.buffer).sum(0)
            dz = f.backward(g, h, grad_input=c.buffer)
            c.write(run_sums(dz, c.ptr), dq)
            if of_nodes and edge is not None:
                du += (dz * edge[c.edges]).sum(0)
            if needs[3]:
                torch.mul(dz, u, out=dedge[c.edges])
    if needs[1] or of_nodes:
        dk = _sums_like(k, csr, dtype)
        for c, z in _rows(q, k, edge, csr, dtype, turned=True):
            g = take(grad, csr.t_order[c.edges]).unsqueeze(-1)
            dz = f.backward(g, z if f.linear else f.apply(z), grad_input=c.buffer)
            c.write(run_sums(dz, c.ptr), dk)
    for x, sums in ((q, dq), (k, dk)):
        if sums is None:
            continue
        for i in range(0, len(sums), NODES):
            here = sums[i : i + NODES]
            if of_nodes:
                du += torch.where(here == 0, 0, here * x[i : i + NODES]).sum(0)  # a NaN that no edge reads goes nowhere
            here *= u
    return dq, dk, du, dedge


def _sums_like(x: Tensor, csr: CSR, dtype: torch.dtype) -> Tensor:
    return (x.new_empty if len(csr.row) else x.new_zeros)(x.shape, dtype=dtype)


@_added_logits.register_fake
def _(q, k, u, edge, act, plan):
    return q.new_empty(q.shape[1], plan[1].shape[0], dtype=wide(q, k, u))


@_added_backward.register_fake
def _(grad, q, k, u, edge, act, plan, needs):
    return tuple(
        q.new_empty(x.shape, dtype=x.dtype) if need else q.new_empty(0)
        for x, need in zip((q, k, u, edge), needs, strict=True)
    )


def _setup(ctx, inputs, output):
    q, k, u, edge, ctx.act, plan = inputs
    ctx.save_for_backward(q, k, u, edge, *plan)


def _derivative(ctx, grad):
    q, k, u, edge, *plan = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:4])
    grads = _added_backward(grad, q, k, u, edge, ctx.act, plan, needs)
    return *(g if need else None for g, need in zip(grads, needs, strict=True)), None, [None] * 8


_added_logits.register_autograd(_derivative, setup_context=_setup)
