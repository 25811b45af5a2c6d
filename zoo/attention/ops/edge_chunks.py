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


class Rows(NamedTuple):
    """Nodes as rows of a table: node n is table[n * step]."""

    table: Tensor  # [.., width], contiguous
    step: int

    @classmethod
    def of(cls, x: Tensor, width: int) -> "Rows":
        """x [N, G, D] in rows of `width`, G D or D (then head g of node n is table[n * step + g]).

        Of keys and values that one linear map made side by side, the table is the map's output: a copy would cost more than
        what is read of it.
        """
        step, D = x.stride(0), x.shape[2]
        if x.numel() and x.stride()[1:] == (D, 1) and step >= x.shape[1] * D and step % width == 0:
            lines = ((len(x) - 1) * step + x.shape[1] * D) // width
            return cls(x.as_strided((lines, width), (width, 1)), step // width)
        return cls(x.reshape(-1, width), x.shape[1] * D // width if width else 1)

    def places(self, index: Tensor) -> Tensor:
        return index if self.step == 1 else index * self.step


def rows_of(x: Tensor) -> Rows:
    """A row a node."""
    return Rows.of(x, x.shape[1:].numel())


def near(x: Rows, index: Tensor, buffer: Tensor) -> Tensor:
    """x[index] for an index that stays close, in a buffer: fresh memory would cost more than the rows."""
    if x.table.dtype == buffer.dtype:
        torch.index_select(x.table, 0, x.places(index), out=buffer.flatten(1))
        return buffer
    return buffer.copy_(x.table.index_select(0, x.places(index)).view_as(buffer))


def far(x: Rows, index: Tensor, like: Tensor) -> Tensor:
    """x[index], as `like`, for an index that goes anywhere: bags of one row, as embedding_bag prefetches (index_select not)."""
    table, places = x.table.detach(), x.places(index)  # detached, a bag keeps no notes for a backward
    if table.is_cuda or table.dtype == torch.float64:  # no such kernel
        rows = table.index_select(0, places)
    else:
        rows = F.embedding_bag(places, table, torch.arange(len(places) + 1), mode="sum", include_last_offset=True)
    return rows.to(like.dtype).view_as(like)


def run_sums(x: Tensor, ptr: Tensor) -> Tensor:
    """Sum the rows of each run: [n, G, W], [m + 1] -> [m, G, W]."""
    index = torch.arange(len(x), device=x.device)
    return F.embedding_bag(index, x.flatten(1), ptr, mode="sum", include_last_offset=True).view(-1, *x.shape[1:])


def gather_sums(weights: Tensor, x: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
    """out[m, g] = sum over edges e of run m of weights[g, e] x[index[e], g]: [G, E], [N, G, D] -> [M, G, D]."""
    G, D, M = x.shape[1], x.shape[2], len(ptr) - 1
    if not len(index) or not D:
        return x.new_zeros(M, G, D)
    dtype = wide(weights, x)
    weights, (table, step), out = weights.to(dtype), Rows.of(x.to(dtype), D), x.new_empty(M, G, D)
    bounds = [*ptr[:-1:NODES].tolist(), len(index)]
    for i, first in enumerate(range(0, M, NODES)):
        nodes, edges = slice(first, min(first + NODES, M)), slice(bounds[i], bounds[i + 1])
        inside, places = ptr[first : nodes.stop + 1] - edges.start, index[edges] * step
        for g in range(G):
            w = weights[g, edges]
            out[nodes, g] = F.embedding_bag(
                places + g, table, inside, mode="sum", per_sample_weights=w, include_last_offset=True
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
    weights: Tensor, a: Tensor, b: Tensor, row: Tensor, ptr: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """(gather_dots(a, b, row, ptr, index), gather_sums(weights, b, index, ptr)), reading the rows of b once for both."""
    dtype, here, there = wide(weights, a, b), rows_of(a), rows_of(b)
    dots = a.new_empty(a.shape[1], len(row), dtype=dtype)
    sums = (a.new_empty if len(row) else a.new_zeros)(len(a), *b.shape[1:], dtype=dtype)
    weights = weights.to(dtype)
    for c in chunks(row, ptr, a, dtype):
        rows = far(there, index[c.edges], c.buffer)
        dots[:, c.edges] = near(here, row[c.edges], c.buffer).mul_(rows).sum(-1).T
        c.write(run_sums(rows.mul_(weights[:, c.edges].T.contiguous().unsqueeze(-1)), c.ptr), sums)
    return dots, sums
