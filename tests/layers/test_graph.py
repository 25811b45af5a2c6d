"""Graph layers: what they add of their input, sparse features, and edges that are sorted once."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn

import zoo.attention.ops.csr as csr
from zoo.attention import (
    Attention,
    Edges,
    GATScore,
    JoinHeads,
    Laplacian,
    RandomWalk,
    SharedQKV,
    ShortestPath,
    record_attention,
)
from zoo.attention.projections import in_heads
from zoo.errors import ZooError
from zoo.layers import (
    Embeddings,
    FeatureDropout,
    GatedSkip,
    GraphAttention,
    GraphLayer,
    IdentityMappedQKV,
    InitialResidual,
    LinearSkip,
    Residual,
    readout_of,
)
from zoo.layers.graph import make_edges
from zoo.layers.relational import RelationalAttention
from zoo.models.graph.gat import GAT
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT

N, E, F = 6, 20, 8
LAYER = partial(Attention, F, 2, score=GATScore, projection=SharedQKV, output=JoinHeads)

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")  # torch's, once a process


@pytest.fixture
def sorts(monkeypatch):
    """The graphs that were sorted."""
    calls, real = [], csr.sort_edges
    monkeypatch.setattr(csr, "sort_edges", lambda *given: calls.append(given) or real(*given))
    return calls


def index(edges=E):
    return torch.randint(N, (2, edges))


# ------------------------------------------------------------------------------------------------- sorted once, or anew


def test_edges_are_sorted_once(sorts):
    """The same Edges serve all layers and steps, with the loops that are added and with any features; of others nothing."""
    edges = Edges(index(), N)
    layers = [GraphLayer(LAYER()) for _ in range(2)]

    def step(features=None):
        made, h = make_edges(edges, features, num_nodes=N, loops="mean"), torch.randn(N, F)
        for layer in layers:
            h = layer(h, made.with_features(None))
        h.sum().backward()
        return made

    assert torch.equal(step().sorted.col, step().sorted.col) and len(sorts) == 1
    step(torch.ones(E, 1))
    step(torch.zeros(E, 1))
    assert len(sorts) == 1
    assert make_edges(edges, num_nodes=N).num_loops == 0
    assert make_edges(Edges(edges.edge_index, N), num_nodes=N, loops="mean").sorted is not step().sorted


def shift(graph):
    graph[:] = (graph + 1) % N


def shift_data(graph):
    graph.data = (graph + 1) % N


def shift_numpy(graph):
    graph.numpy()[:] = (graph.numpy() + 1) % N


@pytest.mark.parametrize("change", [shift, shift_data, shift_numpy])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["GAT", "GATv2 layer", "HAN", "RGAT"])
def test_memory_changed_behind_a_tensors_back_is_noticed(kind, mode, change):
    """A bare edge_index is never remembered: a view of numpy's or `.data =` leaves no trace on a tensor."""
    graph, relation = index(), torch.zeros(E, dtype=torch.long)
    model, x = {
        "GAT": lambda: (GAT(F, 3), lambda g: (torch.ones(N, F).cumsum(0), g)),
        "GATv2 layer": lambda: (GraphAttention(LAYER(), self_loops="mean"), lambda g: (torch.ones(N, F).cumsum(0), g)),
        "HAN": lambda: (
            HAN(F, 3, {"target": "a", "metapaths": [["a", "to", "a"]]}),
            lambda g: (torch.ones(N, F).cumsum(0), [g]),
        ),
        "RGAT": lambda: (RGAT(F, 3, 1), lambda g: (torch.ones(N, F).cumsum(0), g, relation)),
    }[kind]()
    model.eval()
    with mode():
        before = model(*x(graph)).clone()
        change(graph)
        after = model(*x(graph)).clone()
        fresh = model(*x(graph.clone()))
    assert torch.equal(after, fresh) and not torch.equal(after, before)


def test_the_rows_of_relations_are_made_once(sorts):
    """R-GAT's graph over (relation, node) too, of the same Edges and the same relations; of other relations anew."""
    model, edges = RGAT(F, 3, 2, head_dim=2).eval(), Edges(index(), N)
    one, other = torch.zeros(E, dtype=torch.long), torch.ones(E, dtype=torch.long)
    x = torch.randn(N, F)
    first = model(x, edges, one)
    assert torch.equal(model(x, edges, one), first) and len(sorts) == 1
    assert not torch.equal(model(x, edges, other), first) and len(sorts) == 2
    assert torch.equal(model(x, edges, other), RGAT.forward(model, x, edges.edge_index, other))


def test_projected_features_keep_the_sorting(sorts):
    """Features that a layer maps anew in each step stand on the same plan."""
    from zoo.attention import EdgeProjection, SeparateQKV

    attention = Attention(F, 2, projection=SeparateQKV, edges=EdgeProjection, edge_dim=3)
    edges = Edges(index(), N, torch.randn(E, 3))
    for _ in range(3):
        attention(torch.randn(1, N, F), pattern=edges)
    assert len(sorts) == 1


@pytest.mark.parametrize("prepared", [False, True])
def test_inference_before_training(prepared):
    """E11: a validation before the first step (Lightning's sanity check) leaves nothing that a backward pass refuses."""
    layer = GraphAttention(LAYER(), self_loops=None if prepared else "mean")
    graph, x = index(), torch.randn(N, F)
    graph = Edges(graph, N) if prepared else graph
    with torch.inference_mode():
        want = layer(x, graph)
    got = layer(x, graph)
    got.sum().backward()
    torch.testing.assert_close(got, want.clone())


def test_what_is_learned_of_edges_serves_each_backward_pass():
    """What is made of learned features serves one backward pass; what was made without a gradient serves none."""
    edges, features = Edges(index(), N), torch.randn(E, 2, requires_grad=True)
    with torch.no_grad():
        make_edges(edges, features, num_nodes=N, loops="mean")
    for given in (features, None):
        for _ in range(2):
            graph = edges.with_features(features) if given is None else edges
            make_edges(graph, given, num_nodes=N, loops="mean").features.sum().backward()
    assert features.grad is not None


def test_features_changed_in_place_are_seen():
    features = torch.ones(E, 1)
    edges = Edges(index(), N, features)
    make_edges(edges, num_nodes=N, loops=0.0)
    features.mul_(3)
    assert (make_edges(edges, num_nodes=N, loops=0.0).features[:-N] == 3).all()


def test_edges_travel_with_what_was_made_of_them():
    """A pickled or copied Edges never mistakes another tensor for the one that it was given."""
    edges, relation = Edges(index(), N), torch.zeros(E, dtype=torch.long)
    model, x = RGAT(F, 3, 2, head_dim=2).eval(), torch.randn(N, F)
    want = model(x, edges, relation)
    for other in (copy.deepcopy(edges), pickle.loads(pickle.dumps(edges))):
        assert torch.equal(model(x, other, relation), want)
        assert not torch.equal(model(x, other, relation + 1), want)


def test_models_hold_no_graph():
    """Copies and checkpoints of a model carry none."""
    layer = GraphAttention(LAYER(), self_loops="mean")
    graph, x = index(), torch.randn(N, F)
    want = layer(x, graph)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x, graph), want)
    assert not any(isinstance(value, Edges) for module in layer.modules() for value in vars(module).values())


@pytest.mark.parametrize("given, message", [
    (dict(graph=[[0], [1]]), r"edge_index is \[2, E\]"),
    (dict(graph=None), r"edge_index is \[2, E\]"),
    (dict(graph=Edges(torch.zeros(2, 3).long(), 4)), r"These Edges join \(4, 4\) \(sources, targets\), but there are 6 nodes"),
    (dict(graph=Edges(torch.zeros(2, 3).long(), 6, torch.ones(3, 1)), features=torch.ones(3, 1)),
     "edge_attr is given, but these Edges have features of their own: give one of them"),
    (dict(graph=Edges(torch.zeros(2, 3).long(), 6), features=torch.tensor([0, 0, torch.nan])), "features of edge 2 hold NaN"),
])  # fmt: skip
def test_graphs_that_do_not_fit(given, message):
    with pytest.raises(ZooError, match=message):
        make_edges(num_nodes=6, **given)


@pytest.mark.parametrize("prepared", [False, True])
def test_one_number_an_edge_is_a_column(prepared):
    features = torch.rand(E)
    graph = Edges(index(), N, features) if prepared else index()
    made = make_edges(graph, None if prepared else features, num_nodes=N)
    assert torch.equal(made.features, features[:, None])


# ------------------------------------------------------------------------------------------------------------- layers


def test_a_layer_is_its_equation():
    layer = GraphLayer(LAYER(), LinearSkip(F, F), nn.LayerNorm(F), nn.ELU(), dropout=0.5).eval()
    h, edges = torch.randn(N, F), Edges(index(), N)
    out = layer.attn(h[None], pattern=edges)[0]
    torch.testing.assert_close(layer(h, edges), nn.functional.elu(layer.norm(out + h @ layer.skip.map.weight.T)))
    layer.train()
    assert not torch.equal(layer(h, edges), layer(h, edges))


def test_skips():
    out, h, narrow = torch.randn(N, F), torch.randn(N, F), torch.randn(N, 3)
    assert torch.equal(Residual()(out, h), out + h) and Residual()(out, narrow) is out
    assert torch.equal(Residual()(out, h.to_sparse_csr()), out + h)
    initial = InitialResidual(0.25)
    torch.testing.assert_close(initial(out, narrow, h), 0.75 * out + 0.25 * h)
    assert initial(out, h, None) is out and initial(out, h, narrow) is out
    gated = GatedSkip(3, F)
    x = narrow @ gated.map.weight.T + gated.map.bias
    b = torch.sigmoid(torch.cat([out, x, out - x], -1) @ gated.gate.weight[0])[:, None]
    torch.testing.assert_close(gated(out, narrow), b * x + (1 - b) * out)


@pytest.mark.parametrize("skip", [None, LinearSkip(F, F), Residual(), GatedSkip(F, F)])
def test_sparse_features_equal_dense(skip):
    """A bag of words stays sparse through dropout and the first map; outputs and weight gradients are the dense ones."""
    layer = GraphLayer(LAYER(), skip).double()
    h, edges = (torch.rand(N, F) * (torch.rand(N, F) < 0.3)).double(), Edges(index(), N)
    results = []
    for x in (h, h.to_sparse_csr()):
        out = layer(x, edges)
        results.append((out, *torch.autograd.grad(out.square().sum(), list(layer.parameters()))))
    torch.testing.assert_close(*results)


def test_dropout_of_sparse_features():
    x = (torch.rand(300, 300) < 0.5).float()
    drop = FeatureDropout(0.4)
    dropped = drop(x.to_sparse_csr())
    assert dropped.layout == torch.sparse_csr and set(dropped.values().unique().tolist()) <= {
        0.0,
        x.new_tensor(1 / 0.6).item(),
    }
    torch.testing.assert_close(dropped.to_dense().sum(), x.sum(), rtol=0.05, atol=0)
    sparse = x.to_sparse_csr()
    assert drop.eval()(sparse) is sparse and FeatureDropout(0.0)(sparse) is sparse


def test_embeddings_are_summed_over_columns():
    table = Embeddings([4, 3], 5)
    x = torch.tensor([[0, 2], [3, 1]])
    torch.testing.assert_close(table(x), table.tables[0](x[:, 0]) + table.tables[1](x[:, 1]))
    assert Embeddings(4, 5)(torch.tensor([1, 2])).shape == (2, 5)


def test_readouts():
    x, batch = torch.randn(5, 3), torch.tensor([0, 0, 1, 1, 1])
    for name, how in (("mean", lambda y: y.mean(0)), ("sum", lambda y: y.sum(0)), ("max", lambda y: y.amax(0))):
        torch.testing.assert_close(readout_of(name)(x, batch), torch.stack([how(x[:2]), how(x[2:])]))
        torch.testing.assert_close(readout_of(name)(x, None), how(x)[None])  # one graph
    assert readout_of(None) is None
    with pytest.raises(ZooError, match="readout='meen' is unknown; did you mean 'mean'"):
        readout_of("meen")


# ---------------------------------------------------------------------------------------------------------- positions


def test_laplacian_signs_flip_in_training_only():
    """Dwivedi and Bresson 2021: each eigenvector's sign at random, the same for all nodes."""
    part, x, pos = Laplacian(F, k=3), torch.zeros(N, F), torch.randn(N, 3)
    torch.testing.assert_close(part.eval().embed(x, pos), pos @ part.map.weight.T)
    part.train()
    signs = torch.tensor([[a, b, c] for a in (1.0, -1) for b in (1, -1) for c in (1, -1)])
    possible = torch.stack([(pos * s) @ part.map.weight.T for s in signs])
    drawn = [int((part.embed(x, pos) - possible).abs().amax((1, 2)).argmin()) for _ in range(200)]
    assert set(drawn) == set(range(8))
    assert min((part.embed(x, pos) - possible).abs().amax((1, 2))) < 1e-5


@pytest.mark.parametrize("kind, name", [(Laplacian, "laplacian"), (RandomWalk, "random_walk")])
def test_coordinates_are_asked_for(kind, name):
    part = kind(F, k=3)
    assert part.wants == {name: 3}
    for pos, said in ((None, "none"), (torch.randn(N, 4), r"\[6, 4\]")):
        with pytest.raises(ZooError, match=rf"The nodes need coordinates \[N, 3\] \({name}, .*\); got {said}"):
            part.embed(torch.zeros(N, F), pos)
    pos = torch.randn(N, 3)
    torch.testing.assert_close(part.eval().embed(torch.ones(N, F), pos), 1 + pos @ part.map.weight.T)


def test_shortest_path_is_a_number_a_length():
    part = ShortestPath(2, farthest=3)
    part.table.data = torch.arange(10.0).view(2, 5)
    pos = torch.tensor([[0, 1, 3], [1, 0, 9], [4, 2, 0]], dtype=torch.uint8)
    assert part.bias(pos, pos)[0].tolist() == [[0, 1, 3], [1, 0, 4], [4, 2, 0]]
    assert part.bias(pos, pos).shape == (2, 3, 3)
    with pytest.raises(ZooError, match=r"ShortestPath reads a matrix of lengths \[N, N\]; got pos \[3\]"):
        part.bias(torch.arange(3), torch.arange(3))


# --------------------------------------------------------------------------------------------------- a layer by itself


def test_bipartite_layer():
    """D2: loops are refused where the sets differ; sources of another width have a map of their own."""
    attention = partial(Attention, 4, 2, score=GATScore, projection=partial(SharedQKV, context_dim=7), head_dim=3)
    x, graph = (torch.randn(5, 7), torch.randn(3, 4)), torch.tensor([[0, 4, 2], [2, 0, 1]])
    assert GraphAttention(attention(output=JoinHeads))(x, graph).shape == (3, 6)
    with pytest.raises(ZooError, match="Self-loops need one set of nodes; these edges go from 5 sources to 3 targets"):
        GraphAttention(attention(output=JoinHeads), self_loops="mean")(x, graph)
    with pytest.raises(ZooError, match="an attention asks for its targets"):
        GraphAttention(attention(output=JoinHeads))((x[0], None), graph)


def test_identity_mapping_is_gcnii_with_attention():
    """h_l = (1 - alpha) P h ((1 - beta) I + beta W) + alpha h_1 (Chen et al. 2020, equation 5), P a head's weights."""
    attn = LAYER(projection=partial(IdentityMappedQKV, beta=0.25, bias=False))
    layer, edges = GraphLayer(attn, InitialResidual(0.1)), Edges(index(), N)
    h, first = torch.randn(N, F), torch.randn(N, F)
    weight = attn.projection.map.weight
    step = 0.75 * torch.eye(F) + 0.25 * weight.T
    with record_attention(layer) as maps:
        out = layer(h, edges, first=first)
    (seen,) = maps.values()
    P = torch.zeros(2, N, N).index_put(
        (torch.arange(2)[:, None], *seen.edge_index.flip(0)), seen.alpha.T, accumulate=True
    )
    heads = [P[i] @ (h @ step)[:, 4 * i : 4 * i + 4] for i in range(2)]
    torch.testing.assert_close(out, 0.9 * torch.cat(heads, -1) + 0.1 * first)
    out.sum().backward()
    assert weight.grad is not None and weight.shape == (F, F)


def test_identity_mapping_maps_as_any_other_where_the_width_changes():
    to_other = IdentityMappedQKV(F, 3, 4)
    x = torch.randn(1, N, F)
    torch.testing.assert_close(to_other(x)[0], in_heads(x @ to_other.map.weight.T, 4))
    same = IdentityMappedQKV(F, 2, F // 2, beta=1.0)
    torch.testing.assert_close(same(x)[0].transpose(1, 2).flatten(2), x @ same.map.weight.T)
    torch.testing.assert_close(same(x[0].to_sparse_csr())[0], same(x)[0])
    with pytest.raises(ZooError, match="beta is the share of W in the map, 0 to 1; got 2"):
        IdentityMappedQKV(F, 2, F // 2, beta=2)


def test_nodes_by_number_are_their_one_hot_rows_with_bases_too():
    """Schlichtkrull et al. 2018, equation 3: of nodes by number only the pairs that an edge needs are made of the bases."""
    torch.manual_seed(0)
    edges, relation = torch.randint(7, (2, 20)), torch.randint(3, (20,))
    model = RGAT(7, 2, 3, 7, attention=partial(RelationalAttention, num_bases=2, self_relation=True)).double()
    grads = []
    for x in (None, torch.eye(7, dtype=torch.float64), torch.arange(7)):
        model.zero_grad()
        out = model(x, edges, relation)
        out.square().sum().backward()
        grads.append([out, *(parameter.grad.clone() for parameter in model.parameters())])
    for other in grads[1:]:
        for a, b in zip(grads[0], other, strict=True):
            torch.testing.assert_close(a, b)
