"""What a GAT refuses: inputs that do not fit, options that make no sense; in a sentence."""

from functools import partial

import pytest
import torch

from tests.models.gats import DENSE, E, F, N, graph, model
from zoo.attention import (
    Attention,
    EdgeProjection,
    Edges,
    GraphEdges,
    Laplacian,
    RoPE,
    ShortestPath,
    Sinusoidal,
    Window,
)
from zoo.errors import ZooError

X = torch.randn(N, F)


@pytest.mark.parametrize("how, call, message", [
    ({}, lambda net: net(torch.randn(N, F + 1), graph()), r"x is \[N, 5\] of floats; got \[7, 6\] of torch.float32"),
    ({}, lambda net: net(torch.ones(N, F).long(), graph()), r"x is \[N, 5\] of floats; got \[7, 5\] of torch.int64"),
    ({}, lambda net: net(X[None], graph()), r"x is \[N, 5\] of floats; got \[1, 7, 5\]"),
    ({}, lambda net: net(X, graph(), torch.ones(E, 2)), "The edges have 2 features, the model was built for edge_dim=0"),
    (dict(edge_dim=2), lambda net: net(X, graph(), torch.ones(E)), "The edges have 1 features, .* edge_dim=2"),
    (dict(edge_dim=2), lambda net: net(X, Edges(graph(), N, torch.ones(E, 3))), "The edges have 3 features, .* edge_dim=2"),
    (dict(edge_dim=2), lambda net: net(X, graph(), torch.ones(E, 2).long()), r"floats; got torch.int64: use edge_attr"),
    (dict(edge_dim=2), lambda net: net(X, graph(), torch.ones(E + 1, 2)), "needs features for each of its 20 edges"),
    (dict(edge_dim=1), lambda net: net(X, graph(), torch.full((E,), torch.nan)), "The features of edge 0 hold NaN or infinity"),
    (dict(edge_dim=1), lambda net: net(X, Edges(graph(), N, torch.ones(E, 1)), torch.ones(E, 1)), "give one of them"),
    ({}, lambda net: net(X, torch.tensor([[0, 1], [1, 9]])), r"Edge 1 is \(1, 9\), but there are 7 target nodes: 0 to 6"),
    ({}, lambda net: net(X, graph().float()), "edge_index holds integers; got torch.float32"),
    ({}, lambda net: net(X, graph().T), r"edge_index is \[2, E\].*got \[20, 2\]"),
    ({}, lambda net: net(X, graph().tolist()), r"edge_index is \[2, E\]"),
    ({}, lambda net: net(X, Edges(graph(nodes=5), 5)), r"These Edges join \(5, 5\) .*, but there are 7 nodes"),
    (dict(self_loops=False), lambda net: net(X, graph()), "Loops are filled by .* got False. For none, self_loops=null"),
    (dict(position=partial(Laplacian, k=3)), lambda net: net(X, graph()), "laplacian.*made with the data"),
    (dict(position=ShortestPath, attention=DENSE), lambda net: net(X, graph()), "ShortestPath reads a matrix of lengths"),
    (dict(attention=partial(Attention, pattern=GraphEdges() | Window(2), edges=EdgeProjection), edge_dim=2), 
     lambda net: net(X, graph(), torch.ones(E, 2)), "Edges with features or groups cannot be joined by"),
])  # fmt: skip
def test_inputs_that_do_not_fit(how, call, message):
    with pytest.raises(ZooError, match=message):
        call(model(**how))


@pytest.mark.parametrize("how, message", [
    *[(dict(position=kind), f"{kind.__name__} goes by the order of a sequence, and nodes have none: take position=laplacian")
      for kind in (RoPE, Sinusoidal)],
    (dict(readout="median"), "readout='median' is unknown"),
    (dict(depth=0), "depth is a number of layers, at least 1; got 0"),
    (dict(num_heads=0), "Sizes must be positive"),
])  # fmt: skip
def test_models_that_make_no_sense(how, message):
    with pytest.raises(ZooError, match=message):
        model(**how)
