"""What reaches a node of a GAT: its sources, its graph, what drop_edge leaves; edges are sorted once."""

from functools import partial

import pytest
import torch
from torch import nn

import zoo.attention.ops.csr as csr
from tests.models.gats import DENSE, QUIET, TRANSFORMER, V2, E, F, N, graph, mixed, model
from zoo.attention import Attention, Edges, GraphEdges, Laplacian, Window
from zoo.layers import GatedSkip

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")  # torch's, once a process


def test_only_sources_reach_a_node():
    """One layer's output at a node has a gradient of exactly 0 to nodes that are not among its sources."""
    net, x, index = model(depth=1, **QUIET), torch.randn(N, F, requires_grad=True), graph()
    out = net(x, index)
    for i in range(N):
        (grad,) = torch.autograd.grad(mixed(out[i]), x, retain_graph=True)
        sources = {i, *index[0, index[1] == i].tolist()}
        assert {n for n in range(N) if grad[n].any()} == sources


def test_full_sees_all_nodes_of_its_graph_only():
    """pattern=Full(): every node of the same graph of a batch, and no other, whatever the edges."""
    net, x, batch = (
        model(depth=1, attention=DENSE, **QUIET),
        torch.randn(N, F, requires_grad=True),
        torch.tensor([0, 0, 0, 1, 1, 1, 1]),
    )
    for where, seen in ((None, [range(N)] * N), (batch, [range(3)] * 3 + [range(3, N)] * 4)):
        out = net(x, graph(), batch=where)
        for i in range(N):
            (grad,) = torch.autograd.grad(mixed(out[i]), x, retain_graph=True)
            assert [n for n in range(N) if grad[n].any()] == list(seen[i])


def test_a_batch_of_graphs_is_each_graph_alone():
    """Contract 2 for graphs: joined as one with shifted numbers, edges or all nodes, the rows are those alone."""
    for attention in (None, DENSE, partial(Attention, pattern=GraphEdges() | Window(9))):
        net = model(attention=attention, readout="mean", **QUIET)
        x, (a, b) = torch.randn(9, F), (graph(nodes=4), graph(nodes=5))
        joined = net(x, torch.cat([a, b + 4], 1), batch=torch.tensor([0] * 4 + [1] * 5))
        torch.testing.assert_close(joined, torch.cat([net(x[:4], a), net(x[4:], b)]))


def test_sparse_features_equal_dense():
    """Bags of words as a sparse matrix: the same logits and gradients of the weights."""
    x, index = torch.randn(N, F).double() * (torch.rand(N, F) < 0.4), graph()
    for how in ({}, dict(attention=V2), dict(attention=TRANSFORMER, skip=GatedSkip), dict(position=partial(Laplacian, k=2)),
                dict(embed=nn.Linear), dict(attention=partial(Attention, pattern=GraphEdges()))):  # fmt: skip
        net, pos = model(**how, **QUIET).double().eval(), torch.randn(N, 2).double()
        results = []
        for given in (x, x.to_sparse_csr()):
            out = net(given, index, pos=pos)
            results.append((out, *torch.autograd.grad(mixed(out), list(net.parameters()))))
        torch.testing.assert_close(*results)


def test_drop_edge_only_in_training(monkeypatch):
    """Rong et al. 2020: a share of the edges in each forward, loops never; in evaluation all."""
    sizes, real = [], csr.sort_edges
    monkeypatch.setattr(csr, "sort_edges", lambda index, *n: sizes.append(index.shape[1]) or real(index, *n))
    index, x = graph(loops=False, edges=2000), torch.randn(N, F)
    edges, net = index.shape[1], model(drop_edge=0.3, edge_dim=1, **QUIET)
    attr = torch.rand(edges)
    for given in ((index, attr), (Edges(index, N), attr), (Edges(index, N, attr[:, None]),)):
        sizes.clear()
        assert not torch.equal(net.train()(x, *given), net(x, *given))
        assert all(0.6 * edges < size - N < 0.8 * edges for size in sizes) and len(sizes) == 2
        assert torch.equal(net.eval()(x, *given), net(x, *given))
        assert sizes[2:] == [edges + N] * (1 if isinstance(given[0], Edges) else 2)  # a bare edge_index is sorted anew


def test_layers_share_one_sorting(monkeypatch):
    """And steps too, where they are given the same Edges."""
    calls, real = [], csr.sort_edges
    monkeypatch.setattr(csr, "sort_edges", lambda *given: calls.append(given) or real(*given))
    for how, attr in ((dict(depth=3), None), (dict(attention=TRANSFORMER, edge_dim=2, depth=3), torch.randn(E, 2))):
        net, index = model(**how), graph()
        for given, sorted_in_all in ((index, 3), (Edges(index, N), 1)):
            calls.clear()
            for _ in range(3):
                net(torch.randn(N, F), given, attr)
            assert len(calls) == sorted_in_all
