"""zoo.convert: PyTorch Geometric's graph layers give the same output (<= 1e-5 in float32) and gradients (1e-9 in float64).

On random graphs with isolated nodes, multi-edges, loops of their own, edges in any order, and none at all.
"""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call
from torch_geometric.nn import GATConv, GATv2Conv, TransformerConv
from torch_geometric.nn.conv import FusedGATConv, GCNConv
from torch_geometric.nn.models import GAT

import zoo
from tests.pretrained.theirs import randomise
from zoo.attention import Edges, record_attention
from zoo.pretrained import pyg_options
from zoo.pretrained.from_pyg import tensors_of
from zoo.pretrained.from_pyg_models import tensors

F, A, SEEDS = 5, 3, st.integers(0, 2**32)
few = settings(max_examples=6, deadline=None, derandomize=True)

LOOPY = {  # options of GATConv and GATv2Conv
    "plain": {},
    "one head": {"heads": 1},
    "averaged heads": {"concat": False},
    "averaged heads, residual": {"concat": False, "residual": True},
    "residual": {"residual": True},
    "no bias": {"bias": False, "residual": True},
    "no loops": {"add_self_loops": False},
    "other slope": {"negative_slope": 0.7},
    "relu": {"negative_slope": 0.0},
    "edges": {"edge_dim": A},
    "edges, averaged heads": {"edge_dim": A, "concat": False},
    "edges, no loops": {"edge_dim": A, "add_self_loops": False},
    **{
        f"loops of {fill}": {"edge_dim": A, "fill_value": fill}
        for fill in ("mean", "add", "sum", "min", "max", 0.5, -2)
    },
    "loops of a tensor": {"edge_dim": A, "fill_value": torch.tensor(0.3)},
    "fill without edges": {"fill_value": "mul"},
}
DOT = {
    "plain": {},
    "averaged heads": {"concat": False},
    "beta": {"beta": True},
    "beta, averaged heads": {"beta": True, "concat": False},
    "no root": {"root_weight": False},
    "beta without root": {"beta": True, "root_weight": False},
    "no bias": {"bias": False, "beta": True},
    "edges": {"edge_dim": A, "beta": True},
}
CASES = {
    **{f"GATConv, {name}": (GATConv, options) for name, options in LOOPY.items()},
    **{f"GATv2Conv, {name}": (GATv2Conv, options) for name, options in LOOPY.items()},
    "GATv2Conv, shared": (GATv2Conv, {"share_weights": True}),
    "GATv2Conv, shared, edges": (GATv2Conv, {"share_weights": True, "edge_dim": A, "residual": True}),
    **{f"TransformerConv, {name}": (TransformerConv, options) for name, options in DOT.items()},
}
MODELS = {
    "plain": {},
    "elu": {"heads": 4, "act": "elu", "act_kwargs": {"alpha": 0.7}},
    "v2": {"heads": 4, "v2": True, "share_weights": True},
    "edges": {"heads": 2, "edge_dim": A, "fill_value": "max", "act": "leaky_relu"},
    "v2, edges": {"heads": 2, "edge_dim": A, "v2": True},
    "residual, no bias": {"heads": 2, "residual": True, "bias": False},
    "no loops": {"add_self_loops": False, "act": None},
    "one layer": {"num_layers": 1, "heads": 4},
    "hidden outputs": {"out_channels": None},
    "batch norm": {"norm": "BatchNorm", "heads": 2, "act": "gelu"},
    "no concat of one head": {"concat": False},
    "act first, without norm": {"act_first": True},
}


@pytest.fixture(autouse=True)
def isolated_nodes_are_meant(monkeypatch):
    """The one warning of a process that tells of them (D3) is tested elsewhere."""
    monkeypatch.setattr("zoo.attention.edges._told_of_isolated", True)


def layer(kind, options, channels=F, **more):
    return randomise(kind(channels, 4, **{"heads": 3, **options, **more}))


def network(options):
    given = {"in_channels": F, "hidden_channels": 8, "num_layers": 3, "out_channels": 6, **options}
    return randomise(GAT(**given))


class Graph:
    """Nodes 0 and S - 1 in few edges or none, so that some are isolated; loops and multi-edges among the others."""

    def __init__(self, seed, sources=None, targets=None, dtype=torch.float32, channels=(F, F), edge_dim=A):
        draw = torch.Generator().manual_seed(seed)
        n = int(torch.randint(1, 9, (), generator=draw))
        S, T = sources or n, targets or n
        E = int(torch.randint(0, 25, (), generator=draw)) * (seed % 5 > 0)  # none at all, now and then
        used = [max(1, size - 1) for size in (S, T)]
        self.edge_index = torch.stack([torch.randint(size, (E,), generator=draw) for size in used])
        self.edge_attr = torch.randn(E, edge_dim, generator=draw, dtype=dtype)
        self.x_sources = torch.randn(S, channels[0], generator=draw, dtype=dtype)
        self.x = torch.randn(T, channels[1], generator=draw, dtype=dtype)

    def edges(self, options):
        return {"edge_attr": self.edge_attr} if options.get("edge_dim") else {}


def close(a, b, tolerance=1e-5):
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
@given(seed=SEEDS)
@few
def test_same_output(kind, options, seed):
    theirs, graph = layer(kind, options), Graph(seed)
    ours = zoo.convert(theirs)
    close(
        ours(graph.x, graph.edge_index, **graph.edges(options)),
        theirs(graph.x, graph.edge_index, **graph.edges(options)),
    )


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("channels", [(F, F), (F, 7)], ids=["same width", "other width"])
@given(seed=SEEDS)
@few
def test_bipartite_same_output(kind, options, channels, seed):
    """Loops only where the two numbers of nodes agree: there source i is target i, as in PyG."""
    if options.get("share_weights") and channels[0] != channels[1]:
        pytest.skip("PyG itself cannot compute it")
    theirs = layer(kind, options, channels)
    ours = zoo.convert(theirs)
    loops = kind is not TransformerConv and options.get("add_self_loops", True)
    for sizes in [(4, 4)] if loops else [(4, 4), (3, 6), (6, 3)]:
        graph = Graph(seed, *sizes, channels=channels)
        how = {"edge_index": graph.edge_index, **graph.edges(options)}
        inputs = how.pop("edge_index")
        close(ours((graph.x_sources, graph.x), inputs, **how), theirs((graph.x_sources, graph.x), inputs, **how))


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
def test_two_sets_through_one_map_and_one_set_through_two(kind, options):
    """in_channels an int, called with a pair; a pair, called with one tensor."""
    loops = kind is not TransformerConv and options.get("add_self_loops", True)
    graph = Graph(1, 5, 5 if loops else 4)
    theirs, how = layer(kind, options), graph.edges(options)
    ours = zoo.convert(theirs)
    pair = (graph.x_sources, graph.x)
    close(ours(pair, graph.edge_index, **how), theirs(pair, graph.edge_index, **how))
    graph = Graph(1)
    theirs, how = layer(kind, options, (F, F)), graph.edges(options)
    close(zoo.convert(theirs)(graph.x, graph.edge_index, **how), theirs(graph.x, graph.edge_index, **how))


def same_gradients(theirs, rename, graph, how):
    """Of the inputs and of PyG's own parameters, through the map to ours."""
    ours, own = zoo.convert(theirs), dict(theirs.named_parameters(remove_duplicate=False))
    inputs = [graph.x.requires_grad_(), *(edge.requires_grad_() for edge in how.values())]
    wanted = [*inputs, *theirs.parameters()]
    expected = theirs(graph.x, graph.edge_index, **how)
    out = functional_call(ours, rename(theirs, own), (graph.x, graph.edge_index), how, tie_weights=False)
    close(out, expected, 1e-12)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    for loss in (out, expected):
        loss.mul(weights).sum()
    ours_grads = torch.autograd.grad((out * weights).sum(), wanted, allow_unused=True)
    theirs_grads = torch.autograd.grad((expected * weights).sum(), wanted, allow_unused=True)
    for a, b in zip(ours_grads, theirs_grads, strict=True):
        if a is None or b is None:
            assert a is None or not a.any()
            assert b is None or not b.any()
        else:
            close(a, b, 1e-9)


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("seed", [0, 4, 9])
def test_same_gradients(kind, options, seed):
    graph = Graph(seed, dtype=torch.float64)
    same_gradients(layer(kind, options).double(), tensors_of, graph, graph.edges(options))


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_same_gradients_of_models(options):
    graph = Graph(4, dtype=torch.float64)
    same_gradients(network(options).double(), tensors, graph, graph.edges(options))


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@given(seed=SEEDS)
@few
def test_models_give_the_same_output(options, seed):
    theirs, graph = network(options), Graph(seed)
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            buffer.copy_(torch.linspace(0.5, 2, len(buffer)))
    ours = zoo.convert(theirs)
    how = graph.edges(options)
    close(ours(graph.x, graph.edge_index, **how), theirs(graph.x, graph.edge_index, **how))


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
    assert [each.drop.p for each in zoo.convert(network({"dropout": 0.5})).layers] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
@given(seed=SEEDS)
@few
def test_recorded_weights_are_theirs(kind, options, seed):
    """D1: the kept input edges in their order, then the loops, marked; PyG's numbers in eval mode."""
    theirs, graph = layer(kind, options), Graph(seed)
    ours, how = zoo.convert(theirs), graph.edges(options)
    with record_attention(ours) as maps:
        ours(graph.x, graph.edge_index, **how)
    edge_index, alpha, is_loop = maps["attn"]
    _, (their_index, their_alpha) = theirs(graph.x, graph.edge_index, **how, return_attention_weights=True)
    assert edge_index.equal(their_index)
    close(alpha, their_alpha)
    loops = kind is not TransformerConv and options.get("add_self_loops", True)
    own = graph.edge_index[0] == graph.edge_index[1]
    kept = graph.edge_index[:, ~own] if loops else graph.edge_index
    assert edge_index[:, ~is_loop].equal(kept)
    assert is_loop.sum() == (len(graph.x) if loops else 0) and not is_loop[: kept.shape[1]].any()


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
@pytest.mark.parametrize("options", [{}, {"edge_dim": A}], ids=["plain", "edges"])
def test_loops_between_two_sets_are_refused_not_invented(kind, options):
    """D2, PYG#9635: such a layer converts, PyG runs it without a word, ours refuses the call."""
    theirs, graph = layer(kind, options, (F, 7)), Graph(1, 2, 4, channels=(F, 7))
    ours, how = zoo.convert(theirs), graph.edges(options)
    assert theirs((graph.x_sources, graph.x), graph.edge_index, **how).shape == (4, 12)
    with pytest.raises(zoo.ZooError, match="2 sources to 4 targets"):
        ours((graph.x_sources, graph.x), graph.edge_index, **how)


def test_a_node_without_edges_gets_the_bias():
    """D3: and where there is a residual, that too."""
    x, none = torch.randn(3, F), torch.empty(2, 0, dtype=torch.long)
    plain = zoo.convert(layer(GATConv, {"add_self_loops": False}))
    close(plain(x, none), plain.attn.output.bias.expand(3, -1))
    residual = zoo.convert(layer(GATConv, {"add_self_loops": False, "residual": True}))
    close(residual(x, none), residual.attn.output.bias + residual.skip.map(x))


def test_edges_without_features_may_be_given_to_a_layer_for_features():
    theirs, graph = layer(GATConv, {"edge_dim": A}), Graph(1)
    close(zoo.convert(theirs)(graph.x, graph.edge_index), theirs(graph.x, graph.edge_index))


def test_what_a_layer_takes_beside_pygs():
    """Edges sorted once, sparse features, and [E] for one feature an edge."""
    theirs, graph = layer(GATConv, {"edge_dim": 1}), Graph(1, edge_dim=1)
    ours = zoo.convert(theirs)
    expected = theirs(graph.x, graph.edge_index, graph.edge_attr)
    close(ours(graph.x, graph.edge_index, graph.edge_attr[:, 0]), expected)
    close(ours(graph.x, Edges(graph.edge_index, len(graph.x)), graph.edge_attr), expected)
    close(ours(graph.x.to_sparse_csr(), graph.edge_index, graph.edge_attr), expected)


REFUSED = {
    "aggr='mean'": (GATConv, {"aggr": "mean"}),
    "aggr='max'": (GATv2Conv, {"aggr": "max"}),
    "flow='target_to_source'": (TransformerConv, {"flow": "target_to_source"}),
    "decomposed_layers=2": (GATConv, {"decomposed_layers": 2}),
    "fill_value='mul'": (GATConv, {"edge_dim": A, "fill_value": "mul"}),
    "fill_value=Tensor": (GATv2Conv, {"edge_dim": A, "fill_value": torch.ones(A)}),
    "sizes of -1": (GATConv, {"in_channels": -1}),
    "negative_slope=-0.2": (GATConv, {"negative_slope": -0.2}),
    "dropout=1": (GATConv, {"dropout": 1.0}),
    "share_weights=True with in_channels=(5, 7)": (GATv2Conv, {"share_weights": True, "in_channels": (5, 7)}),
    "class=FusedGATConv": (FusedGATConv, {"add_self_loops": False}),
    "GCNConv is another architecture": (GCNConv, {}),
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_ours_has_not_is_refused_by_name(word):
    kind, options = REFUSED[word]
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(kind(**{"in_channels": F, "out_channels": 4, **options}))
    assert word in str(refusal.value)


REFUSED_MODELS = {
    "jk='cat'": {"jk": "cat"},
    "jk='last'": {"jk": "last"},
    "act=PReLU": {"act": "prelu"},
    "act=relu": {"act": torch.relu},
    "norm=LayerNorm": {"norm": "LayerNorm"},
    "norm=PairNorm": {"norm": "PairNorm"},
    "norm=BatchNorm": {"norm": "BatchNorm", "norm_kwargs": {"allow_single_element": True}},
    "act_first=True with a norm": {"norm": "BatchNorm", "act_first": True},
    "concat=False": {"concat": False, "heads": 2},
    "out_channels=None with several heads": {"out_channels": None, "heads": 2},
    "in_channels=(5, 5)": {"in_channels": (5, 5), "add_self_loops": False},
    "fill_value='mul'": {"edge_dim": A, "fill_value": "mul"},
}


@pytest.mark.parametrize("word", REFUSED_MODELS)
def test_models_with_what_ours_has_not_are_refused_by_name(word):
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(network(REFUSED_MODELS[word]))
    assert word in str(refusal.value)


def _other_forward(conv):
    forward = conv.message
    conv.message = lambda *args, **kwargs: forward(*args, **kwargs) * 2


def _add_tensor(conv):
    conv.temperature = torch.nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(("change", "word"), [(_other_forward, "gives other outputs"), (_add_tensor, "temperature")])
def test_a_layer_that_somebody_changed_is_not_converted_silently(change, word):
    theirs = layer(GATConv, {})
    change(theirs)
    with pytest.raises(zoo.ZooError, match=word):
        zoo.convert(theirs)


def test_an_option_of_a_later_release_is_refused_by_name(monkeypatch):
    """One that the conversion does not read, unless it is at its default."""
    monkeypatch.setitem(pyg_options.KNOWN, GATConv, pyg_options.KNOWN[GATConv].replace("residual", ""))
    zoo.convert(layer(GATConv, {}))
    with pytest.raises(zoo.ZooError, match="residual=True"):
        zoo.convert(layer(GATConv, {"residual": True}))


def test_models_whose_layers_differ_are_refused():
    theirs = network({"heads": 2})
    theirs.convs[1].negative_slope = 0.9
    with pytest.raises(zoo.ZooError, match="convs that differ"):
        zoo.convert(theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        layer(GATConv, {"edge_dim": A, "residual": True, "fill_value": 0.5, "dropout": 0.1}),
        layer(GATv2Conv, {"edge_dim": A, "share_weights": True, "concat": False}),
        layer(TransformerConv, {"edge_dim": A, "beta": True}),
        network({"edge_dim": A, "norm": "BatchNorm", "residual": True, "heads": 2}),
    ],
    ids=lambda theirs: type(theirs).__name__,
)
def test_converted_is_saved_and_loaded(theirs, tmp_path):
    ours, graph = zoo.convert(theirs), Graph(1)
    again = zoo.load(zoo.save(ours, tmp_path / "model"))
    assert again(graph.x, graph.edge_index, graph.edge_attr).equal(ours(graph.x, graph.edge_index, graph.edge_attr))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept_and_nothing_is_shared(dtype):
    for theirs in (layer(GATv2Conv, {"edge_dim": A}).to(dtype), network({"residual": True}).to(dtype)):
        ours = zoo.convert(theirs)
        assert {p.dtype for p in ours.parameters()} == {dtype}
        assert not {p.data_ptr() for p in ours.parameters()} & {p.data_ptr() for p in theirs.parameters()}


def test_a_layer_refuses_what_it_cannot_mean():
    ours, graph = zoo.convert(layer(GATConv, {"edge_dim": A}, (F, F), add_self_loops=False)), Graph(1)
    wrong = {
        r"\(sources, None\)": ((graph.x, None), graph.edge_index),
        "2 features, the layer was built for edge_dim=3": (graph.x, graph.edge_index, graph.edge_attr[:, :2]),
        "x is \\[N, F\\] of floats": (graph.x.long(), graph.edge_index),
        "but there are": (graph.x, Edges(graph.edge_index, 99)),
    }
    for word, inputs in wrong.items():
        with pytest.raises(zoo.ZooError, match=word):
            ours(*inputs)


def test_zeros_mean_no_targets():
    """What the refusal of (x, None) advises: PyG leaves the targets' share out of the score."""
    theirs, graph = layer(GATConv, {"add_self_loops": False}, (F, F)), Graph(3, 6, 4)
    expected = theirs((graph.x_sources, None), graph.edge_index, size=(6, 4))
    close(zoo.convert(theirs)((graph.x_sources, torch.zeros(4, F)), graph.edge_index), expected)


def test_pytorch_geometric_is_imported_only_when_needed():
    code = "import sys, zoo, zoo.pretrained.convert, zoo.layers; sys.exit('torch_geometric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
