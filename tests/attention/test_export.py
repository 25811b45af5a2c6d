"""torch.export with a dynamic number of nodes and edges (B7, D8)."""

import pytest
import torch
from torch import nn

from tests.attention.examples import D, H
from zoo.attention import (
    Additive,
    Attention,
    Edges,
    GATScore,
    GATv2Score,
    LinearFeatures,
    ScaledDot,
    SeparateQKV,
    SharedKV,
    SharedQKV,
)

DIM = H * D


class Graph(nn.Module):
    """An attention that sorts the edges it is given."""

    def __init__(self, loops, **how):
        super().__init__()
        self.attn, self.loops = Attention(DIM, H, **how), loops

    def forward(self, x, edge_index, group):
        edges = Edges(edge_index, x.shape[0], group=None if self.loops else group)
        return self.attn(x[None], pattern=edges.with_self_loops() if self.loops else edges)


@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("score, projection", [
    (GATScore, SharedQKV), (GATv2Score, SharedKV), (ScaledDot, SeparateQKV), (Additive, SeparateQKV),
    (LinearFeatures, SeparateQKV),
])  # fmt: skip
def test_any_number_of_nodes_and_edges(score, projection, loops, strict):
    def graph(n, e):
        return torch.randn(n, DIM), torch.randint(n, (2, e)), torch.randint(3, (e,))

    model = Graph(loops, score=score, projection=projection).eval()
    nodes, edges = torch.export.Dim("N", min=2, max=10**6), torch.export.Dim("E", min=2, max=10**6)
    shapes = dict(x={0: nodes}, edge_index={1: edges}, group={0: edges})
    exported = torch.export.export(model, graph(9, 20), dynamic_shapes=shapes, strict=strict).module()
    for sizes in ((30, 77), (4, 3), (200, 2000)):
        inputs = graph(*sizes)
        torch.testing.assert_close(exported(*inputs), model(*inputs))
