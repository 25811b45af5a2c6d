"""The operations along edges written out in torch's own: gather, exponentiate, add up by target.

What an engine that knows none of ours can run (`zoo.exports`): the same numbers but for rounding, with the [E, G, D] tensor
that edge_ops.py does without. No order of the edges is made use of but `csr.row` itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.attention.ops import edge_added, edge_ops  # noqa: F401  (registers the operations)
from zoo.attention.ops.csr import CSR

#: activations by the names that scores give them (zoo.attention.ops.edge_added.activation)
ACTS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda z: z}


def _dot_logits(q: Tensor, k: Tensor, plan: Sequence[Tensor]) -> Tensor:
    csr = CSR(*plan)
    return (q.index_select(0, csr.row) * k.index_select(0, csr.col)).sum(-1).T.contiguous()


def _added_logits(q: Tensor, k: Tensor, u: Tensor, edge: Tensor | None, act: str, plan: Sequence[Tensor]) -> Tensor:
    csr = CSR(*plan)
    z = q.index_select(0, csr.row) + k.index_select(0, csr.col)
    return (_acted(z if edge is None else z + edge, act) * u).sum(-1).T.contiguous()


def _acted(z: Tensor, act: str) -> Tensor:
    kind, _, slope = act.partition(":")
    return torch.where(z < 0, z * float(slope), z) if kind == "leaky_relu" else ACTS[kind](z)


def _segment_softmax(logits: Tensor, ptr: Tensor, seg: Tensor) -> Tensor:
    where = seg.unsqueeze(0).expand_as(logits)
    runs = logits.new_full((logits.shape[0], ptr.shape[0] - 1), -torch.inf)
    top = runs.scatter_reduce(1, where, logits, "amax")
    e = (logits - torch.where(top == -torch.inf, 0.0, top).index_select(1, seg)).exp()
    total = torch.zeros_like(runs).scatter_add(1, where, e)
    return e / torch.where(total == 0, 1.0, total).index_select(1, seg)


def _weighted_sum(weights: Tensor, v: Tensor, plan: Sequence[Tensor]) -> Tensor:
    csr = CSR(*plan)
    terms = weights.T.unsqueeze(-1) * v.index_select(0, csr.col)  # [E, G, D]
    sums = v.new_zeros(csr.rowptr.shape[0] - 1, *v.shape[1:], dtype=terms.dtype)
    return sums.scatter_add(0, csr.row.view(-1, 1, 1).expand_as(terms), terms).to(v.dtype)


#: operation -> the same, written out, as a table of decompositions
WRITTEN_OUT = {
    torch.ops.zoo.dot_logits.default: _dot_logits,
    torch.ops.zoo.added_logits.default: _added_logits,
    torch.ops.zoo.segment_softmax.default: _segment_softmax,
    torch.ops.zoo.weighted_sum.default: _weighted_sum,
}
