"""The same work for zoo and for PyTorch Geometric: graph layers and a small net with the same weights, called alike."""

import json
import os
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv, GATv2Conv, TransformerConv

import zoo
from benchmarks import memory
from zoo.attention import Edges
from zoo.layers.graph import make_edges

CONVS = {conv.__name__: conv for conv in (GATConv, GATv2Conv, TransformerConv)}
Call = Callable[[], object]


class Size(NamedTuple):
    """Of a random graph and of the layer on it: dim -> heads x head_dim."""

    nodes: int
    edges: int
    dim: int = 128
    heads: int = 4
    head_dim: int = 64


ARXIV = Size(169_343, 1_166_243)  # of ogbn-arxiv


class Contest(NamedTuple):
    """One graph, and a layer of PyG's and ours with the same weights to be called on it. x wants its gradient too."""

    x: Tensor
    edge_index: Tensor
    seed: Tensor  # the gradient of the output
    pyg: nn.Module
    zoo: Any

    @property
    def prepared(self) -> Edges:
        """The graph as the edges that our layer makes of it, sorted."""
        edges = make_edges(self.edge_index, num_nodes=len(self.x), loops=self.zoo.self_loops)
        _ = edges.sorted
        return edges

    def call(self, layer: nn.Module, graph: Callable[[], Tensor | Edges] | None = None) -> Callable[[], tuple]:
        """Forward and backward, to x and to all weights; returns the output, then these gradients."""
        leaves = [self.x, *layer.parameters()]

        def call() -> tuple[Tensor, ...]:
            out = layer(self.x, self.edge_index if graph is None else graph())
            return out.detach(), *torch.autograd.grad(out, leaves, self.seed)

        return call


def contest(name: str, size: Size = ARXIV) -> Contest:
    """The convolution called `name` on a random graph, and ours; both are reproducible."""
    torch.manual_seed(0)
    x = torch.randn(size.nodes, size.dim, requires_grad=True)
    edge_index = torch.randint(size.nodes, (2, size.edges))
    seed = torch.randn(size.nodes, size.heads * size.head_dim)
    conv = CONVS[name](size.dim, size.head_dim, heads=size.heads)
    return Contest(x, edge_index, seed, conv, zoo.convert(conv))


def layer_calls(name: str, size: Size = ARXIV) -> dict[str, Call]:
    """Ours on edges sorted before, and on a bare edge_index, which is sorted in every call; PyG's twice.

    Each has a copy of its own.
    """
    made = contest(name, size)
    edges, same = made.prepared, made.edge_index
    calls = {
        "zoo": made.call(made.zoo, lambda: edges),
        "zoo_sort": made.call(deepcopy(made.zoo), lambda: same),
        "pyg": made.call(made.pyg),
        "copy": made.call(deepcopy(made.pyg)),
    }
    agree(calls["zoo"](), calls["pyg"]())
    return calls


def agree(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    """Raise AssertionError unless outputs are equal to 1e-4, and gradients of x to 1e-4 of the largest."""
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-4 * float(theirs[1].abs().max()), rtol=0)


def edges_calls(sizes: list[Size], name: str = "GATConv") -> dict[str, Call]:
    """Our layer, the sorting left out, on graphs of several sizes, each called by its number of edges."""

    def call(size: Size) -> Call:
        made = contest(name, size)
        edges = made.prepared
        return made.call(made.zoo, lambda: edges)

    return {str(size.edges): call(size) for size in sizes}


class Citations(nn.Module):
    """Two GATConv, 8 heads of 8 and one of the classes, with dropout before and in both: the net of PyG's examples/gat.py."""

    def __init__(self, in_dim: int, classes: int, dropout: float = 0.6):
        super().__init__()
        self.dropout = dropout
        hidden = GATConv(in_dim, 8, heads=8, dropout=dropout)
        self.layers = nn.ModuleList([hidden, GATConv(64, classes, concat=False, dropout=dropout)])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden, last = self.layers
        h = F.elu(hidden(F.dropout(x, self.dropout, self.training), edge_index))
        return last(F.dropout(h, self.dropout, self.training), edge_index)


def epoch_calls(model: nn.Module, batch: Any) -> dict[str, Call]:
    """A training epoch on the one batch of a graph: `model`, a GAT of conf/model/gat.yaml, on features as they are stored;
    PyG's net with the same weights, twice, on dense ones, as in its example."""
    torch.manual_seed(0)
    pyg = Citations(batch.x.shape[1], model.num_classes)
    for layer, conv in zip(model.layers, pyg.layers, strict=True):
        layer.load_state_dict(zoo.convert(conv).state_dict())
    dense = batch.x.to_dense()
    with torch.no_grad():
        expected = pyg.eval()(dense, batch.edge_index)
        torch.testing.assert_close(model.eval()(batch.x, batch.edge_index), expected, atol=1e-4, rtol=0)
    return {
        "zoo": epoch(model, batch.x, batch, batch.edges),
        "pyg": epoch(pyg, dense, batch, batch.edge_index),
        "copy": epoch(deepcopy(pyg), dense, batch, batch.edge_index),
    }


def epoch(model: nn.Module, x: Tensor, batch: Any, graph: Tensor | Edges) -> Call:
    """Forward, cross-entropy on the training nodes, backward, Adam; the settings of conf/task/graph_classification.yaml."""
    optimizer = torch.optim.Adam(model.train().parameters(), lr=5e-3, weight_decay=5e-4, fused=True)
    rows, labels = batch.rows["train"], batch.labels[batch.rows["train"]]

    def call() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x, graph)[rows], labels).backward()
        optimizer.step()

    return call


def peak(side: str, name: str, threads: int, size: Size | list[int] = ARXIV) -> float:
    """Megabytes by which a forward and backward raise this process above its inputs and layer. Ours sorts in it."""
    import psutil

    torch.set_num_threads(threads)
    made = contest(name, Size(*size))
    call = made.call(getattr(made, side))
    memory.forget_highest()
    before = psutil.Process().memory_info().rss
    call()
    return (memory.highest() - before) / 1e6


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(peak(**json.loads(sys.argv[1])))
