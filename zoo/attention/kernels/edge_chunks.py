"""Sums and products over runs of edges, in chunks that stay in cache: no [E, G, D] tensor is ever made.

Edges come sorted by their own node, so a node's edges are a run (`ptr`); the node at the other end (`index`) may be anyone.
What takes the time is to read that other node's row from anywhere in memory. `embedding_bag` is used for it throughout: its
CPU kernel prefetches, adds a run as it reads and always in one order, so it beats CSR products and repeats bit for bit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers in one buffer: 2 MiB of float32 on a CPU, so that a few of them stay in L2 and L3; a GPU wants fewer, larger kernels.
BUFFER = {"cpu": 2**19, "cuda": 2**25}
NODES = 8192  # nodes whose sums are made at once: their copy into [.., G, D] stays in cache


def wide(*tensors: Tensor) -> torch.dtype:
    """The type to compute in: float32 or, where the inputs are wider, theirs."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


class Chunk(NamedTuple):
    edges: slice
    nodes: slice  # to the last edge's; from the first edge's, or from where the chunk before ended: together, all nodes
    ptr: Tensor  # the runs of those nodes within the chunk; the first and the last may go on outside
    buffer: Tensor  # [edges, ...] to write to; the next chunk has the same
    goes_on: bool  # the first node's run began in the chunk before

    def write(self, sums: Tensor, out: Tensor) -> None:
        """Put the sums of this chunk's runs where they belong; after the last chunk, every row of `out` is written."""
        if self.goes_on:
            sums[0] += out[self.nodes.start]
        out[self.nodes] = sums


def chunks(row: Tensor, ptr: Tensor, like: Tensor, dtype: torch.dtype) -> Iterator[Chunk]:
    """Cut edges, sorted by `row`, into chunks with a buffer of rows as those of `like` [N, ...].

    A node of high degree may span several chunks.
    """
    if not len(row):
        return
    size = max(1, BUFFER["cuda" if row.is_cuda else "cpu"] // max(1, like.shape[1:].numel()))
    buffer = like.new_empty(min(size, len(row)), *like.shape[1:], dtype=dtype)
    firsts, lasts = row[::size].tolist(), [*row[size - 1 : -1 : size].tolist(), len(ptr) - 2]
    before = -1
    for start, first, last in zip(range(0, len(row), size), firsts, lasts, strict=True):
        stop, begin = min(start + size, len(row)), min(first, before + 1)
        inside = (ptr[begin : last + 2] - start).clamp_(0, stop - start)
        yield Chunk(slice(start, stop), slice(begin, last + 1), inside, buffer[: stop - start], begin == before)
        before = last


def near(x: Tensor, index: Tensor, buffer: Tensor) -> Tensor:
    """x[index] for an index that stays close, in a buffer: fresh memory would cost more than the rows."""
    if x.dtype == buffer.dtype:
        return torch.index_select(x, 0, index, out=buffer)
    return buffer.copy_(x.index_select(0, index))


def far(x: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
    """x[index] for an index that goes anywhere: bags of one row each, as embedding_bag prefetches and index_select does not."""
    if x.is_cuda or x.dtype == torch.float64:  # no such kernel
        return x.index_select(0, index).to(dtype)
    return run_sums(x.detach(), torch.arange(len(index) + 1), index).to(
        dtype
    )  # detached, it keeps no notes for a backward


def run_sums(x: Tensor, ptr: Tensor, index: Tensor | None = None) -> Tensor:
    """Sum the rows of each run, or of those that `index` names: [n, G, W], [m + 1] -> [m, G, W]."""
    index = torch.arange(len(x), device=x.device) if index is None else index
    return F.embedding_bag(index, x.flatten(1), ptr, mode="sum", include_last_offset=True).view(-1, *x.shape[1:])


def gather_sums(weights: Tensor, x: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
    """out[m, g] = sum over edges e of run m of weights[g, e] x[index[e], g]: [G, E], [N, G, D] -> [M, G, D]."""
    G, D, M = x.shape[1], x.shape[2], len(ptr) - 1
    if not len(index) or not D:
        return x.new_zeros(M, G, D)
    dtype = wide(weights, x)
    weights, table, out = weights.to(dtype), x.to(dtype).reshape(-1, D), x.new_empty(M, G, D)
    bounds = [*ptr[:-1:NODES].tolist(), len(index)]
    for i, first in enumerate(range(0, M, NODES)):
        nodes, edges = slice(first, min(first + NODES, M)), slice(bounds[i], bounds[i + 1])
        inside, places = ptr[first : nodes.stop + 1] - edges.start, index[edges] * G
        for g in range(G):  # head g of node n is row n G + g of the table
            w = weights[g, edges]
            out[nodes, g] = F.embedding_bag(
                places + g, table, inside, mode="sum", per_sample_weights=w, include_last_offset=True
            )
    return out


def gather_dots(a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor) -> Tensor:
    """out[g, e] = a[row[e], g] . b[index[e], g]: [N, G, D], [M, G, D] -> [G, E]."""
    dtype, a, b = wide(a, b), a.contiguous(), b.contiguous()
    out = a.new_empty(a.shape[1], len(row), dtype=dtype)
    for c in chunks(row, ptr, a, dtype):
        out[:, c.edges] = near(a, row[c.edges], c.buffer).mul_(far(b, index[c.edges], dtype)).sum(-1).T
    return out


def gather_both(
    weights: Tensor, a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """(gather_dots(a, b, row, ptr, index), gather_sums(weights, b, index, ptr)), reading the rows of b once for both."""
    dtype, a, b = wide(weights, a, b), a.contiguous(), b.contiguous()
    dots = a.new_empty(a.shape[1], len(row), dtype=dtype)
    sums = (a.new_empty if len(row) else a.new_zeros)(len(a), *b.shape[1:], dtype=dtype)
    weights = weights.to(dtype)
    for c in chunks(row, ptr, a, dtype):
        there = far(b, index[c.edges], dtype)
        dots[:, c.edges] = near(a, row[c.edges], c.buffer).mul_(there).sum(-1).T
        c.write(run_sums(there.mul_(weights[:, c.edges].T.contiguous().unsqueeze(-1)), c.ptr), sums)
    return dots, sums
