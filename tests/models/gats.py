"""Small graphs and GATs: every option of the model, and what each takes."""

from functools import partial

import torch
from torch import nn

from zoo.attention import (
    Attention,
    EdgeProjection,
    Full,
    GATScore,
    GATv2Score,
    GraphEdges,
    Laplacian,
    RandomWalk,
    ScaledDot,
    SeparateQKV,
    SharedKV,
    ShortestPath,
    Window,
)
from zoo.layers import Embeddings, GatedSkip, InitialResidual, LinearSkip, Residual
from zoo.models.graph.gat import GAT

N, E, F, C = 7, 20, 5, 3
QUIET = dict(dropout=0.0, attn_dropout=0.0)
V2 = partial(Attention, score=GATv2Score, projection=SharedKV, pattern=GraphEdges())
TRANSFORMER = partial(Attention, score=ScaledDot, projection=SeparateQKV, edges=EdgeProjection, pattern=GraphEdges())
DENSE = partial(Attention, score=GATScore, projection=SeparateQKV, pattern=Full())


def graph(loops=True, nodes=N, edges=E):
    index = torch.randint(nodes, (2, edges))
    return index if loops else index[:, index[0] != index[1]]


def model(**how):
    return GAT(**{**dict(in_dim=F, num_classes=C, head_dim=4, num_heads=2), **how})


def mixed(y):
    """One number of a model's output with a gradient everywhere."""
    return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()


VARIANTS = {
    "gat": {},
    "gatv2": dict(attention=V2, depth=3, skip=LinearSkip, norm=nn.LayerNorm),
    "edge features": dict(edge_dim=2),
    "gatv2 with edge features": dict(attention=V2, edge_dim=2, self_loops=0.5),
    "transformer": dict(attention=TRANSFORMER, edge_dim=2, self_loops=None, skip=GatedSkip, head=nn.Linear),
    "initial": dict(embed=nn.Linear, depth=4, skip=partial(InitialResidual, alpha=0.2), head=nn.Linear),
    "residual": dict(embed=lambda i, o: Embeddings(5, o), skip=lambda dim, out_dim: Residual(), depth=3),
    "laplacian": dict(position=partial(Laplacian, k=4)),
    "random walk": dict(position=partial(RandomWalk, k=4), embed=nn.Linear),
    "shortest path": dict(position=ShortestPath, attention=DENSE),
    "full": dict(attention=DENSE),
    "or": dict(attention=partial(Attention, pattern=GraphEdges() | Window(2))),
    "and": dict(attention=partial(Attention, pattern=GraphEdges() & Window(4))),
    "mean": dict(readout="mean"),
    "max": dict(readout="max", drop_edge=0.2),
    "sum": dict(readout="sum", norm=nn.BatchNorm1d, act=nn.ReLU),
    "undirected loops": dict(self_loops=None),
}


def given(name):
    """(x, graph, edge_attr, pos, batch) that the variant takes."""
    how = VARIANTS[name]
    x = torch.randint(5, (N,)) if name == "residual" else torch.randn(N, F)
    pos = torch.randint(5, (N, N)) if name == "shortest path" else torch.randn(N, 4) if "position" in how else None
    batch = torch.tensor([0, 0, 0, 0, 1, 1, 1]) if "readout" in how else None
    return x, graph(), torch.randn(E, 2) if "edge_dim" in how else None, pos, batch
