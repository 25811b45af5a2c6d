"""The GAT: its equation, its axes, what it refuses; recorded weights (D1), one compiled graph (D8), edges and nothing else."""

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import zoo
import zoo.attention as core
import zoo.attention.ops.csr as csr
from zoo.attention import (
    Attention,
    EdgeProjection,
    Edges,
    Full,
    GATScore,
    GATv2Score,
    GraphEdges,
    Laplacian,
    RandomWalk,
    RoPE,
    ScaledDot,
    SeparateQKV,
    SharedKV,
    ShortestPath,
    Sinusoidal,
    Window,
    record_attention,
)
from zoo.errors import ZooError
from zoo.layers import Embeddings, GatedSkip, GraphAttention, InitialResidual, LinearSkip, Residual
from zoo.models.graph.gat import GAT
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT

N, E, F, C = 7, 20, 5, 3
CONF = Path(zoo.__file__).parents[1] / "conf" / "score"
QUIET = dict(dropout=0.0, attn_dropout=0.0)
V2 = partial(Attention, score=GATv2Score, projection=SharedKV, pattern=GraphEdges())
TRANSFORMER = partial(Attention, score=ScaledDot, projection=SeparateQKV, edges=EdgeProjection, pattern=GraphEdges())
DENSE = partial(Attention, score=GATScore, projection=SeparateQKV, pattern=Full())
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")  # torch's, once a process


def graph(loops=True, nodes=N, edges=E):
    index = torch.randint(nodes, (2, edges))
    return index if loops else index[:, index[0] != index[1]]


def model(**how):
    return GAT(**{**dict(in_dim=F, num_classes=C, head_dim=4, num_heads=2), **how})


def mixed(y):
    """One number of a model's output with a gradient everywhere."""
    return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()


# ------------------------------------------------------------------------------------------------------ what it computes


def test_parameters_are_those_of_the_paper():
    """Velickovic et al. 2018, section 3.3, by hand: W, the halves of a, and the bias of each layer."""
    first, last = 1433 * 64 + 2 * 8 * 8 + 64, 64 * 7 + 2 * 7 + 7
    assert sum(p.numel() for p in GAT(1433, 7).parameters()) == first + last == 92373
    heads = 8 * (64 * 7 + 2 * 7) + 7
    assert sum(p.numel() for p in GAT(1433, 7, out_heads=8).parameters()) == first + heads


def dense_gat(net, x, index):
    """The model as matrices: one adjacency with self-loops, -inf elsewhere."""
    n = len(x)
    seen = torch.zeros(n, n, dtype=torch.bool).index_put((index[1], index[0]), torch.tensor(True)) | torch.eye(n).bool()
    for i, layer in enumerate(net.layers):
        heads, score = layer.attn.num_heads, layer.attn.score
        h = (x @ layer.attn.projection.map.weight.T).view(n, heads, -1).transpose(0, 1)  # [H, N, D]
        logits = (h * score.query[:, None]).sum(-1)[:, :, None] + (h * score.key[:, None]).sum(-1)[:, None]
        logits = torch.where(logits > 0, logits, 0.2 * logits).masked_fill(~seen, -torch.inf)
        out = logits.softmax(-1) @ h
        last = i == len(net.layers) - 1
        joined = out.mean(0) if last else out.transpose(0, 1).reshape(n, -1)
        x = joined + layer.attn.output.bias
        x = x if last else torch.where(x > 0, x, x.exp() - 1)
    return x


@pytest.mark.parametrize("depth, out_heads", [(1, 1), (2, 1), (3, 2)])
def test_equals_a_dense_gat(depth, out_heads):
    """Equations 1 to 6 with matrices, gradients of all parameters included, on a graph with loops of its own."""
    net, x = model(depth=depth, out_heads=out_heads, **QUIET).double(), torch.randn(N, F).double().requires_grad_()
    index = graph().unique(dim=1)
    for p in net.parameters():
        p.data.normal_()
    got, want = net(x, index), dense_gat(net, x, index)
    torch.testing.assert_close(got, want)
    inputs = [x, *net.parameters()]
    torch.testing.assert_close(*(torch.autograd.grad(mixed(y), inputs) for y in (got, want)))


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


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_learn(name):
    """Every option: the right shape, a gradient for every parameter, prepared Edges the same as an edge_index."""
    net, inputs = model(**VARIANTS[name]), given(name)
    for p in net.parameters():
        p.data += 0.1 * torch.randn_like(p)
    out = net(*inputs)
    assert out.shape == (2 if inputs[4] is not None else N, C)
    mixed(out).backward()
    assert not [path for path, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    net.eval()
    assert torch.equal(net(inputs[0], Edges(inputs[1], N), *inputs[2:]), net(*inputs))


@pytest.mark.parametrize("score", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_score_of_the_configs(score):
    """Contract 7: a GAT with any score, along edges and over all nodes, learns."""
    kind = getattr(core, yaml.safe_load(score.read_text())["_target_"].split(".")[-1])
    for pattern in (GraphEdges(), Full()):
        net = model(attention=partial(Attention, score=kind, projection=SeparateQKV, pattern=pattern), **QUIET)
        mixed(net(torch.randn(N, F), graph())).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


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


def test_inputs_of_a_data_object():
    from torch_geometric.data import Data

    data = Data(x=torch.randn(N, F), edge_index=graph(), edge_attr=torch.rand(E, 2), laplacian=torch.randn(N, 4))
    x, index, attr, pos, batch, _ = model(position=partial(Laplacian, k=4)).inputs(data)
    assert x is data.x and index is data.edge_index and attr is None and pos is data.laplacian and batch is None
    assert model(edge_dim=2).inputs(data)[2] is data.edge_attr and model().inputs(data)[3] is None


# -------------------------------------------------------------------------------------------------------- its weights


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", ["gat", "gatv2 with edge features", "transformer"])
def test_recorded_weights(name, train):
    """D1, bug 23, contract 8: weights in the order of the input, loops marked, before dropout, a sum of 1 for each target; the
    output is the same bit for bit."""
    net, (x, index, attr, *_) = model(**VARIANTS[name]).train(train), given(name)
    torch.manual_seed(1)
    want = net(x, index, attr)
    torch.manual_seed(1)
    with record_attention(net) as maps:
        assert torch.equal(net(x, index, attr), want)
    assert list(maps) == ["layers.0.attn", "layers.1.attn"]
    looped = VARIANTS[name].get("self_loops", "mean") is not None
    kept = index[:, index[0] != index[1]] if looped else index
    for path, heads in (("layers.0.attn", 2), ("layers.1.attn", 2 if name == "transformer" else 1)):
        weights = maps[path]
        assert torch.equal(weights.edge_index[:, ~weights.is_loop], kept)
        assert weights.edge_index[:, weights.is_loop].tolist() == ([list(range(N))] * 2 if looped else [[], []])
        assert weights.alpha.shape == (weights.edge_index.shape[1], heads) and not weights.alpha.requires_grad
        sums = torch.zeros(N, heads).index_add(0, weights.edge_index[1], weights.alpha)
        torch.testing.assert_close(
            sums[weights.edge_index[1].unique()], torch.ones(len(weights.edge_index[1].unique()), heads)
        )
    if name == "gat" and not train:
        out = net.layers[0].attn.projection(x[None])[2][0, :, maps["layers.0.attn"].edge_index[0]]  # [H, E', D]
        out = torch.zeros(2, N, 4).index_add(
            1, maps["layers.0.attn"].edge_index[1], out * maps["layers.0.attn"].alpha.T[..., None]
        )
        torch.testing.assert_close(
            out.transpose(0, 1).flatten(1), net.layers[0].attn(x[None], pattern=net.seen(index, N, None, None))[0]
        )


def test_recorded_full_attention_is_a_matrix():
    net, (x, index, *_) = model(**VARIANTS["full"]), given("full")
    with record_attention(net) as maps:
        net(x, index)
    assert maps["layers.0.attn"].shape == (1, 2, N, N)


# ------------------------------------------------------------------------------------------------------------ compiled


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


# -------------------------------------------------------------------------------------------------------- what it refuses


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
