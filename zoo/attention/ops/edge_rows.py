"""Rows of nodes and of edges, read and written at places that may lie anywhere: what most of the time goes to.

A node's row is wide, [G, D] numbers. `embedding_bag` reads it: its CPU kernel prefetches. An edge's row is narrow, a number for
each of G heads, side by side so that one line of the cache has all of them; it moves as one number of its width, where there
is a type so wide, element by element in place of a copy of a few bytes for each row.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

AS_ONE = {
    8: torch.float64,
    16: torch.complex128,
}  # bytes of a row -> a type of that width; only copied, never reckoned with


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


def by_edge(x: Tensor, dtype: torch.dtype) -> Tensor:
    """[G, E] -> [E, G], a copy in memory of its own: an edge's heads side by side."""
    return x.new_empty(x.shape[1], x.shape[0], dtype=dtype).copy_(x.T)


def take(x: Tensor, index: Tensor) -> Tensor:
    """x[index] of narrow rows [E, G], contiguous."""
    return as_one(x).index_select(0, index).view(x.dtype).view(len(index), x.shape[1])


def put(x: Tensor, index: Tensor, rows: Tensor) -> None:
    """x[index] = rows, for narrow rows [E, G] and [n, G], both contiguous, and an index without repetitions."""
    as_one(x).index_copy_(0, index, as_one(rows))


def as_one(x: Tensor) -> Tensor:
    """Narrow rows [E, G], contiguous, as numbers [E] of a type as wide; the rows themselves where there is no such type."""
    dtype = AS_ONE.get(x.shape[1] * x.element_size())
    return x if dtype is None or x.storage_offset() % x.shape[1] else x.view(-1).view(dtype)
