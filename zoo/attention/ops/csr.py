"""The plan of an edge list: its edges sorted by target, and the transpose, sorted by source.

In target-sorted order a target's edges are a run, so its softmax and its sum are those of a segment; the transpose gives the
same to the sources, which the gradients of keys and values need. One plan serves every layer that looks along these edges.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class CSR(NamedTuple):
    """Edges sorted by target (stable), and the same edges sorted by source. All int64.

    "Sorted" alone means sorted by target: logits and weights [.., E] are laid out in that order everywhere.
    """

    rowptr: Tensor  # [T + 1]: the edges of target t are rowptr[t] : rowptr[t + 1]
    row: Tensor  # [E] target of each sorted edge, non-decreasing
    col: Tensor  # [E] source of each sorted edge
    order: Tensor  # [E] sorted place -> place in the input
    t_rowptr: Tensor  # [S + 1]: the edges of source s are t_rowptr[s] : t_rowptr[s + 1] when sorted by source
    t_row: Tensor  # [E] source of each edge when sorted by source, non-decreasing
    t_col: Tensor  # [E] target of each of those
    t_order: Tensor  # [E] place when sorted by source -> place when sorted by target


def sort_edges(edge_index: Tensor, num_sources: int, num_targets: int) -> CSR:
    """The plan of `edge_index` [2, E] (row 0 sources, row 1 targets; integers within their ranges, not checked here).

    Ties keep the order of the input. All output shapes follow from the input's, so that it traces.
    """
    source, target = edge_index.long()
    row, order = _sort(target, num_targets)
    col = source.index_select(0, order)
    t_row, t_order = _sort(col, num_sources)
    t_col = row.index_select(0, t_order)
    return CSR(_starts(row, num_targets), row, col, order, _starts(t_row, num_sources), t_row, t_col, t_order)


def _sort(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    narrow = keys.int() if count < 2**31 else keys  # half the passes of a radix sort
    values, order = torch.sort(narrow, stable=True)
    return values.long(), order


def _starts(keys: Tensor, count: int) -> Tensor:
    """Where each of the keys 0 .. count - 1 begins in the sorted `keys`, and their end: [count + 1]."""
    if torch.compiler.is_exporting():  # other engines know sums, and no search
        return keys.new_zeros(count + 1).scatter_add(0, keys + 1, torch.ones_like(keys)).cumsum(0)
    return torch.searchsorted(keys, torch.arange(count + 1, device=keys.device))
