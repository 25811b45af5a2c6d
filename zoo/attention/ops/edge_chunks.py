"""Sums and products over runs of edges, in chunks that stay in cache: no [E, G, D] tensor is ever made.

Edges come sorted by their own node, so a node's edges are a run (`ptr`); the node at the other end (`index`) may be anyone.
`embedding_bag` adds a run as it reads and always in one order, so it beats CSR products and repeats bit for bit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.attention.ops.edge_rows import Rows, by_edge, far, near, put, rows_of, take

# Numbers in one buffer: 2 MiB of float32 on a CPU, so that a few of them stay in L2 and L3; a GPU wants fewer, larger kernels.
BUFFER = {"cpu": 2**19, "cuda": 2**25}
NODES = 8192  # nodes whose edges are gone through at once on a CPU


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


class Block(NamedTuple):
    nodes: slice
    edges: slice  # all of those nodes
    ptr: Tensor  # their runs within these edges


def blocks(ptr: Tensor) -> Iterator[Block]:
    """Cut nodes into blocks, each with all of its edges, so that what is made of them on the way stays in cache."""
    count = len(ptr) - 1
    size = max(1, count if ptr.is_cuda else NODES)
    starts = ptr[:-1:size].tolist()
    for first, start, stop in zip(range(0, count, size), starts, [*starts[1:], None], strict=True):
        nodes = slice(first, min(first + size, count))
        yield Block(nodes, slice(start, stop), ptr[first : nodes.stop + 1] - start)


def run_sums(x: Tensor, ptr: Tensor) -> Tensor:
    """Sum the rows of each run: [n, G, W], [m + 1] -> [m, G, W]."""
    index = torch.arange(len(x), device=x.device)
    return F.embedding_bag(index, x.flatten(1), ptr, mode="sum", include_last_offset=True).view(-1, *x.shape[1:])


def gather_sums(weights: Tensor, x: Tensor, index: Tensor, ptr: Tensor, order: Tensor | None = None) -> Tensor:
    """out[m, g] = sum over edges e of run m of weights[g, e] x[index[e], g]: [G, E], [N, G, D] -> [M, G, D].

    With an `order`, weights[g, order[e]].
    """
    G, D, M = x.shape[1], x.shape[2], len(ptr) - 1
    if not len(index) or not D:
        return x.new_zeros(M, G, D)
    dtype = wide(weights, x)
    (table, step), out = Rows.of(x.to(dtype), D), x.new_empty(M, G, D)
    weights = weights.to(dtype) if order is None else by_edge(weights, dtype)
    for b in blocks(ptr):
        each = weights[:, b.edges] if order is None else take(weights, order[b.edges]).T.contiguous()
        places = index[b.edges] * step
        for g in range(G):
            out[b.nodes, g] = F.embedding_bag(
                places + g, table, b.ptr, mode="sum", per_sample_weights=each[g], include_last_offset=True
            )
    return out


def gather_dots(a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor) -> Tensor:
    """out[g, e] = a[row[e], g] . b[index[e], g]: [N, G, D], [M, G, D] -> [G, E]."""
    dtype, here, there = wide(a, b), rows_of(a), rows_of(b)
    out = a.new_empty(a.shape[1], len(row), dtype=dtype)
    for c in chunks(row, ptr, a, dtype):
        out[:, c.edges] = near(here, row[c.edges], c.buffer).mul_(far(there, index[c.edges], c.buffer)).sum(-1).T
    return out


def gather_both(
    weights: Tensor, a: Tensor, b: Tensor, order: Tensor, row: Tensor, ptr: Tensor, index: Tensor
) -> Tensor:
    """gather_sums(weights[order].T, b, index, ptr), and gather_dots(a, b, row, ptr, index) put where those weights stood.

    The rows of b are read once for both. weights [E, G], an edge's heads side by side; `order` [E] has each of them once.
    """
    dtype, here, there = wide(weights, a, b), rows_of(a), rows_of(b)
    sums = (a.new_empty if len(row) else a.new_zeros)(len(a), *b.shape[1:], dtype=dtype)
    for c in chunks(row, ptr, a, dtype):
        rows, places = far(there, index[c.edges], c.buffer), order[c.edges]
        each = take(weights, places).unsqueeze(-1)
        put(weights, places, near(here, row[c.edges], c.buffer).mul_(rows).sum(-1))
        c.write(run_sums(rows.mul_(each), c.ptr), sums)
    return sums
