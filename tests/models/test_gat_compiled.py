"""Graph models compiled to one graph (D8), and exported with any number of nodes and edges (B7)."""

import pytest
import torch

from tests.models.gats import QUIET, TRANSFORMER, VARIANTS, C, F, N, given, mixed, model
from zoo.attention import Edges
from zoo.layers import GraphAttention
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT


class Graphs:
    """A backend that counts the graphs it is given, and runs them as torch's `backend` does."""

    def __init__(self, backend):
        self.count, self.run = 0, torch._dynamo.lookup_backend(backend)

    def __call__(self, graph, inputs):
        self.count += 1
        return self.run(graph, inputs)


@pytest.mark.parametrize("name, prepared, backend", [
    ("gat", False, "aot_eager"), ("gat", True, "eager"), ("gatv2 with edge features", False, "eager"),
    ("transformer", True, "aot_eager"), ("or", False, "eager"), ("and", True, "eager"), ("laplacian", True, "eager"),
    ("shortest path", False, "eager"),
])  # fmt: skip
def test_compiles_to_one_graph(name, prepared, backend):
    """D8, contract 6: no graph break, with loops in the input and loops to add; the same logits and gradients; a second
    graph of the same size compiles nothing new."""
    torch.compiler.reset()
    net, backend = model(**VARIANTS[name], **QUIET), Graphs(backend)
    net.position.eval()  # the signs of Laplacian are drawn
    run = torch.compile(net, fullgraph=True, backend=backend)
    for _ in range(2):
        x, index, *rest = given(name)
        index[:, 3] = 2
        index = Edges(index, N) if prepared else index
        got, want = run(x, index, *rest), net(x, index, *rest)
        torch.testing.assert_close(got, want)
        grads = [torch.autograd.grad(mixed(y), list(net.parameters()), materialize_grads=True, allow_unused=True)
                 for y in (got, want)]  # fmt: skip
        torch.testing.assert_close(*grads)
    assert backend.count == 1


def test_drop_edge_compiles():
    """D8: what is left out has a shape that depends on no value."""
    torch.compiler.reset()
    net = model(drop_edge=0.5, edge_dim=2, **QUIET)
    run, inputs = torch.compile(net, fullgraph=True, backend="eager"), given("edge features")
    assert not torch.equal(run(*inputs), run(*inputs))
    torch.testing.assert_close(run.eval()(*inputs), net.eval()(*inputs))


EXPORTED = {
    "GAT": lambda: (model(), {}),
    "GAT with edge features": lambda: (model(edge_dim=2), {"edge_attr": lambda edges: torch.rand(edges, 2)}),
    "graph transformer": lambda: (model(attention=TRANSFORMER), {}),
    "one layer": lambda: (model().layers[0].attn, {}),
    "HAN": lambda: (HAN(F, C, {"target": "a", "metapaths": [("a", "b", "a")]}), {}),
    "R-GAT": lambda: (RGAT(F, C, 2, head_dim=4), {"relation": lambda edges: torch.randint(2, (edges,))}),
}


@pytest.mark.parametrize("kind", EXPORTED)
def test_export_keeps_nodes_and_edges_dynamic(kind):
    """B7: torch.export at one size gives the same outputs on graphs of other sizes."""
    net, more = EXPORTED[kind]()
    if kind == "one layer":
        net = GraphAttention(net, self_loops="mean")
    net.eval()

    def given(nodes, edges):
        index = torch.randint(nodes, (2, edges))
        return (torch.randn(nodes, F), [index] if kind == "HAN" else index, *(make(edges) for make in more.values()))

    nodes, edges = torch.export.Dim("nodes", min=2, max=500), torch.export.Dim("edges", min=2, max=5000)
    index = {1: edges}
    shapes = ({0: nodes}, [index] if kind == "HAN" else index, *({0: edges} for _ in more))
    program = torch.export.export(net, given(7, 20), dynamic_shapes=shapes).module()
    for size in ((11, 40), (5, 9)):
        inputs = given(*size)
        torch.testing.assert_close(program(*inputs), net(*inputs))
