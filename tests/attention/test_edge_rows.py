"""Rows read and written at any places: what index_select and index_copy_ of the rows themselves give, bit for bit."""

import pytest
import torch

from zoo.attention.ops.csr import sort_edges
from zoo.attention.ops.edge_ops import added_logits, weighted_sum
from zoo.attention.ops.edge_rows import by_edge, put, take

every_row = pytest.mark.parametrize("heads", [0, 1, 2, 3, 4, 8])
every_type = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def bits(x):
    return x.view({4: torch.int32, 8: torch.int64}[x.element_size()])


@every_row
@every_type
@pytest.mark.parametrize("edges", [0, 1, 7])
@pytest.mark.parametrize("start", [0, 1], ids=["a storage", "a storage from its second number on"])
def test_narrow_rows_move_whole(heads, dtype, edges, start):
    """Rows of 8 or 16 bytes go as one number: NaN and its bits, -0 and denormals come out as they went in."""
    store = torch.randn(start + edges * heads, dtype=dtype)
    for i, odd in enumerate((-torch.nan, -0.0, 5e-324 if dtype == torch.float64 else 1e-45, torch.inf)):
        store[start + i : start + i + 1] = odd
    x, order = store[start:].view(edges, heads), torch.randperm(edges)
    got = take(x, order)
    assert got.is_contiguous() and torch.equal(bits(got), bits(x.index_select(0, order)))
    back = torch.zeros(edges, heads, dtype=dtype)
    put(back, order, got)
    assert torch.equal(bits(back), bits(x))


@every_row
def test_heads_side_by_side_are_a_copy(heads):
    """Of one head too, whose transpose has the same layout: they are written to."""
    weights = torch.randn(heads, 5)
    each = by_edge(weights, torch.float32)
    assert each.is_contiguous() and torch.equal(each, weights.T)
    assert not heads or each.data_ptr() != weights.data_ptr()


@pytest.mark.parametrize("heads", [1, 2, 4])
@every_type
def test_operations_leave_their_inputs(heads, dtype):
    """What a backward works on in place is its own; the same asked twice gives the same."""
    csr = sort_edges(torch.randint(6, (2, 40)), 6, 6)
    weights, v = torch.rand(heads, 40, dtype=dtype), torch.randn(6, heads, 5, dtype=dtype)
    q, k, u = (torch.randn(n, heads, 1, dtype=dtype) for n in (6, 6, 1))
    inputs = [x.requires_grad_() for x in (weights, v, q, k, u)]
    kept = [x.detach().clone() for x in inputs]
    out = weighted_sum(weights + added_logits(q, k, u[0], None, csr, "tanh"), v, csr)
    first, second = (torch.autograd.grad(out.square().sum(), inputs, retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, first, second)) and all(map(torch.equal, inputs, kept))
