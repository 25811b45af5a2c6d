"""Sums and products over runs of edges, in chunks that stay in cache: no [E, G, D] tensor is ever made.

Edges come sorted by their own node, so a node's edges are a run (`ptr`); the node at the other end (`index`) may be anyone.
Gathering rows and summing them is one pass in `embedding_bag`, whose CPU kernel prefetches and adds each run in one order:
quicker than CSR products, and the same bits on every run.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers in one buffer: 1 MiB of float32 on a CPU (half of two cores' L2); a GPU wants fewer, larger kernels.
BUFFER = {"cpu": 2**18, "cuda": 2**25}
NODES = 8192  # nodes whose sums are made at once: their copy into [.., G, D] stays in cache


def wide(*tensors: Tensor) -> torch.dtype:
    """The type to compute in: float32 or, where the inputs are wider, theirs."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


class Chunk(NamedTuple):
    edges: slice
    nodes: slice  # from the first edge's node to the last edge's
    ptr: Tensor  # the runs of those nodes within the chunk; the first and the last may go on outside


def chunks(row: Tensor, ptr: Tensor, width: int) -> Iterator[Chunk]:
    """Cut edges, sorted by `row`, into chunks of `width` numbers an edge; a node of high degree may span several."""
    size = max(1, BUFFER["cuda" if row.is_cuda else "cpu"] // max(1, width))
    last = torch.arange(size, len(row) + size, size).clamp_(max=len(row)) - 1
    ends = zip(row[::size].tolist(), row[last.to(row.device)].tolist(), strict=True)
    for start, (first, end) in zip(range(0, len(row), size), ends, strict=True):
        stop = min(start + size, len(row))
        inside = (ptr[first : end + 2] - start).clamp_(0, stop - start)
        yield Chunk(slice(start, stop), slice(first, end + 1), inside)


def rows(x: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
    """x[index] in a type of its own."""
    return x.index_select(0, index).to(dtype)


def run_sums(x: Tensor, ptr: Tensor) -> Tensor:
    """Sum the rows of each run: [n, G, W], [m + 1] -> [m, G, W]."""
    places = torch.arange(len(x), device=x.device)
    return F.embedding_bag(places, x.flatten(1), ptr, mode="sum", include_last_offset=True).view(-1, *x.shape[1:])


def gather_sums(weights: Tensor, x: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
    """out[m, g] = sum over edges e of run m of weights[g, e] x[index[e], g]: [G, E], [N, G, D] -> [M, G, D]."""
    G, D, M = x.shape[1], x.shape[2], len(ptr) - 1
    dtype = wide(weights, x)
    if not len(index) or not D:
        return x.new_zeros(M, G, D)
    weights, table = weights.to(dtype), x.to(dtype).reshape(-1, D)
    out = x.new_empty(M, G, D)
    bounds = [*ptr[:-1:NODES].tolist(), len(index)]
    for i, first in enumerate(range(0, M, NODES)):
        nodes, edges = slice(first, min(first + NODES, M)), slice(bounds[i], bounds[i + 1])
        inside, places = ptr[first : nodes.stop + 1] - edges.start, index[edges] * G
        for g in range(G):  # head g of node n is row n G + g of the table
            w = weights[g, edges]
            out[nodes, g] = F.embedding_bag(places + g, table, inside, None, 2.0, False, "sum", False, w, True)
    return out


def gather_dots(a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor) -> Tensor:
    """out[g, e] = a[row[e], g] . b[index[e], g]: [N, G, D], [M, G, D] -> [G, E]."""
    dtype, a, b = wide(a, b), a.contiguous(), b.contiguous()
    out = a.new_empty(len(row), a.shape[1], dtype=dtype)
    for edges, _, _ in chunks(row, ptr, a.shape[1] * a.shape[2]):
        product = rows(a, row[edges], dtype).mul_(rows(b, index[edges], dtype))
        torch.sum(product, -1, out=out[edges])
    return out.T.contiguous()


def gather_sums_and_dots(
    weights: Tensor, a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """(gather_sums(weights, b, index, ptr), gather_dots(a, b, row, ptr, index)), reading each row of b once.

    b[index] is what takes the time: its rows lie anywhere in memory.
    """
    dtype, a, b = wide(weights, a, b), a.contiguous(), b.contiguous()
    w = weights.to(dtype).T.contiguous().unsqueeze(-1)  # [E, G, 1]
    sums, dots = b.new_zeros(len(ptr) - 1, *b.shape[1:], dtype=dtype), w.new_empty(w.shape[:2])
    for edges, nodes, inside in chunks(row, ptr, b.shape[1] * b.shape[2]):
        x = rows(b, index[edges], dtype)
        torch.sum(rows(a, row[edges], dtype).mul_(x), -1, out=dots[edges])
        sums[nodes] += run_sums(x.mul_(w[edges]), inside)
    return sums.to(b.dtype), dots.T.contiguous()
