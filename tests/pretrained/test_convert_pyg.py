"""zoo.convert: PyTorch Geometric's graph layers give the same output (<= 1e-5 in float32) and gradients (1e-9 in float64).

On random graphs with isolated nodes, multi-edges, loops of their own, edges in any order, and none at all.
"""

import pytest
import torch
from hypothesis import given
from torch.func import functional_call
from torch_geometric.nn import GATConv, GATv2Conv, SuperGATConv

import zoo
from tests.pretrained.pyg import (
    CASES,
    MODELS,
    RELATIONAL,
    SEEDS,
    A,
    F,
    Graph,
    close,
    converted,
    few,
    has_loops,
    layer,
    network,
    relational,
)
from tests.pretrained.theirs import randomise
from zoo.attention import record_attention
from zoo.pretrained import from_pyg, from_pyg_models, from_pyg_relational

pytestmark = pytest.mark.usefixtures("isolated_nodes_are_meant")


@pytest.mark.parametrize("case", CASES)
@given(seed=SEEDS)
@few
def test_same_output_and_same_weights(case, seed):
    """D1: the record has the kept input edges in their order, then the loops, marked; PyG's numbers of eval mode."""
    theirs, ours, options = converted("conv", case)
    graph = Graph(seed)
    how = graph.edges(options)
    expected, (their_index, their_alpha) = theirs(graph.x, graph.edge_index, **how, return_attention_weights=True)
    with record_attention(ours) as maps:
        close(ours(graph.x, graph.edge_index, **how), expected)
    edge_index, alpha, is_loop = maps["attn"]
    assert edge_index.equal(their_index)
    close(alpha, their_alpha)
    own = graph.edge_index[0] == graph.edge_index[1]
    kept = graph.edge_index[:, ~own] if has_loops(theirs) else graph.edge_index
    assert edge_index[:, ~is_loop].equal(kept) and not is_loop[: kept.shape[1]].any()
    assert is_loop.sum() == (len(graph.x) if has_loops(theirs) else 0)


@pytest.mark.parametrize("case", CASES)
@given(seed=SEEDS)
@few
def test_bipartite_same_output(case, seed):
    """Loops only where the two numbers of nodes agree: there source i is target i, as in PyG."""
    channels = (F, F) if "shared" in case else (F, 7)
    theirs, ours, options = converted("conv", case, channels)
    for sizes in [(4, 4)] if has_loops(theirs) else [(4, 4), (3, 6), (6, 3)]:
        graph = Graph(seed, *sizes, channels=channels)
        pair, how = (graph.x_sources, graph.x), graph.edges(options)
        close(ours(pair, graph.edge_index, **how), theirs(pair, graph.edge_index, **how))


@pytest.mark.parametrize("case", CASES)
def test_two_sets_through_one_map_and_one_set_through_two(case):
    """in_channels an int, called with a pair; a pair, called with one tensor."""
    theirs, ours, options = converted("conv", case)
    graph = Graph(1, 5, 5 if has_loops(theirs) else 4)
    pair, how = (graph.x_sources, graph.x), graph.edges(options)
    close(ours(pair, graph.edge_index, **how), theirs(pair, graph.edge_index, **how))
    theirs, ours, options = converted("conv", case, (F, F))
    graph = Graph(1)
    how = graph.edges(options)
    close(ours(graph.x, graph.edge_index, **how), theirs(graph.x, graph.edge_index, **how))


@pytest.mark.parametrize("case", MODELS)
@given(seed=SEEDS)
@few
def test_models_give_the_same_output(case, seed):
    theirs, ours, options = converted("model", case)
    graph = Graph(seed)
    how = graph.edges(options)
    close(ours(graph.x, graph.edge_index, **how), theirs(graph.x, graph.edge_index, **how))


@pytest.mark.parametrize("case", RELATIONAL)
@given(seed=SEEDS)
@few
def test_relations_give_the_same_output_and_weights(case, seed):
    theirs, ours, options = converted("relational", case)
    graph = Graph(seed, channels=(6, 6))
    inputs = (graph.x, graph.edge_index, graph.relation, *graph.edges(options).values())
    expected, (their_index, their_alpha) = theirs(*inputs, return_attention_weights=True)
    with record_attention(ours) as maps:
        close(ours(*inputs), expected)
    (edge_index, alpha, is_loop) = maps[""]
    assert edge_index.equal(their_index) and not is_loop.any()
    close(alpha, their_alpha)


def same_gradients(theirs, rename, inputs, how):
    """Of the inputs and of PyG's own parameters, through the map to ours."""
    ours, own = zoo.convert(theirs), dict(theirs.named_parameters(remove_duplicate=False))
    floats = [each.requires_grad_() for each in (*inputs, *how.values()) if each.is_floating_point()]
    wanted = [*floats, *theirs.parameters()]
    outs = functional_call(ours, rename(theirs, own), inputs, how, tie_weights=False), theirs(*inputs, **how)
    close(*outs, 1e-12)
    weights = torch.linspace(-1, 1, outs[0].numel(), dtype=torch.float64).view_as(outs[0])
    grads = [torch.autograd.grad((out * weights).sum(), wanted, allow_unused=True) for out in outs]
    for each, a, b in zip(wanted, *grads, strict=True):
        zero = torch.zeros_like(each)  # None: what is not used, as PyG's weights of a mod that is off
        close(zero if a is None else a, zero if b is None else b, 1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [0, 4])
def test_same_gradients(case, seed):
    """Seed 0 is a graph without edges."""
    kind, options = CASES[case]
    graph = Graph(seed, dtype=torch.float64)
    theirs = layer(kind, options).double()
    same_gradients(theirs, from_pyg.tensors_of, (graph.x, graph.edge_index), graph.edges(options))


@pytest.mark.parametrize("case", MODELS)
def test_same_gradients_of_models(case):
    graph = Graph(4, dtype=torch.float64)
    theirs = network(MODELS[case]).double()
    same_gradients(theirs, from_pyg_models.tensors, (graph.x, graph.edge_index), graph.edges(MODELS[case]))


@pytest.mark.parametrize("case", RELATIONAL)
def test_same_gradients_of_relations(case):
    graph = Graph(4, dtype=torch.float64, channels=(6, 6))
    inputs, how = (graph.x, graph.edge_index, graph.relation), graph.edges(RELATIONAL[case])
    same_gradients(relational(RELATIONAL[case]).double(), from_pyg_relational.tensors_of, inputs, how)


def test_a_models_dropout_stands_where_theirs_stands():
    """After hidden layers, never on the input: the same draws in the same order give the same output in training."""
    theirs, graph = network({"dropout": 0.5, "heads": 2}), Graph(1)
    for conv in theirs.convs:  # whose own dropout draws in the order of the edges, which is not ours
        assert conv.dropout == 0.5
        conv.dropout = 0.0
    ours = zoo.convert(theirs.train())
    assert ours.training
    outs = []
    for model in (ours, theirs):
        torch.manual_seed(3)
        outs.append(model(graph.x, graph.edge_index))
    close(*outs)
    ours = zoo.convert(network({"dropout": 0.5}))
    assert [each.drop.p for each in ours.layers] == [0.0, 0.5, 0.5]
    assert [each.attn.dropout for each in ours.layers] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("kind", [GATConv, GATv2Conv])
def test_weights_in_training_are_those_before_dropout(kind):
    """D1, PYG#3550: ours sum to 1 per target in training too; theirs have been dropped and scaled."""
    theirs, graph = layer(kind, {"dropout": 0.6}).train(), Graph(3, 8, 8)
    ours = zoo.convert(theirs)
    assert ours.training and ours.attn.dropout == 0.6
    with record_attention(ours) as maps:
        ours(graph.x, graph.edge_index)
    edge_index, alpha, _ = maps["attn"]
    _, (_, dropped) = theirs(graph.x, graph.edge_index, return_attention_weights=True)

    def sums(weights):
        return torch.zeros(8, 3).index_add(0, edge_index[1], weights.detach())

    close(sums(alpha), torch.ones(8, 3))
    assert (sums(dropped) - 1).abs().max() > 0.1


@pytest.mark.parametrize("kind", [GATConv, GATv2Conv])
def test_loops_between_two_sets_are_refused_not_invented(kind):
    """D2, PYG#9635: such a layer converts, PyG runs it without a word, ours refuses the call."""
    theirs, graph = layer(kind, {}, (F, 7)), Graph(1, 2, 4, channels=(F, 7))
    pair = (graph.x_sources, graph.x)
    assert theirs(pair, graph.edge_index).shape == (4, 12)
    with pytest.raises(zoo.ZooError, match="2 sources to 4 targets"):
        zoo.convert(theirs)(pair, graph.edge_index)


def test_a_node_without_edges_gets_the_bias():
    """D3: and where there is a residual, that too."""
    x, none = torch.randn(3, F), torch.empty(2, 0, dtype=torch.long)
    plain = zoo.convert(layer(GATConv, {"add_self_loops": False}))
    close(plain(x, none), plain.attn.output.bias.expand(3, -1))
    residual = zoo.convert(layer(GATConv, {"add_self_loops": False, "residual": True}))
    close(residual(x, none), residual.attn.output.bias + residual.skip.map(x))


def test_edges_without_features_may_be_given_to_a_layer_for_features():
    theirs, ours, _ = converted("conv", "GATConv, edges")
    graph = Graph(1)
    close(ours(graph.x, graph.edge_index), theirs(graph.x, graph.edge_index))


def test_zeros_mean_no_targets():
    """What the refusal of (x, None) advises: PyG leaves the targets' share out of the score."""
    theirs, graph = layer(GATConv, {"add_self_loops": False}, (F, F)), Graph(3, 6, 4)
    expected = theirs((graph.x_sources, None), graph.edge_index, size=(6, 4))
    close(zoo.convert(theirs)((graph.x_sources, torch.zeros(4, F)), graph.edge_index), expected)


def test_loops_are_filled_as_theirs_where_a_node_has_no_other_edge():
    """D4: by 0, for each of the words; the input's own loops do not count."""
    loops = torch.arange(3).expand(2, -1)
    for fill in ("mean", "add", "min", "max"):
        theirs = layer(GATConv, {"edge_dim": A, "fill_value": fill})
        x, features = torch.randn(3, F), torch.randn(3, A)
        close(zoo.convert(theirs)(x, loops, features), theirs(x, loops, features))


SUPER = {
    "mx": {},
    "sd": {"attention_type": "SD"},
    "averaged heads, no loops": {"concat": False, "add_self_loops": False, "negative_slope": 0.7},
    "sd, no bias, one head": {"attention_type": "SD", "bias": False, "heads": 1},
}


@pytest.mark.parametrize("options", SUPER.values(), ids=SUPER)
@given(seed=SEEDS)
@few
def test_supergat_same_output(options, seed):
    """Kim and Oh 2021, "MX" and "SD", in eval mode; the loss of its training is no part of it."""
    theirs = randomise(SuperGATConv(F, 4, **{"heads": 2, **options}))
    ours, graph = zoo.convert(theirs), Graph(seed)
    close(ours(graph.x, graph.edge_index), theirs(graph.x, graph.edge_index))


def test_supergat_is_refused_by_an_option():
    with pytest.raises(zoo.ZooError, match="aggr='mean'"):
        zoo.convert(SuperGATConv(F, 4, aggr="mean"))
