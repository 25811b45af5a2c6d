"""zoo.convert of PyTorch Geometric's layers: what is refused, by which name, and what comes with a converted one."""

import subprocess
import sys

import pytest
import torch
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, RGATConv, TransformerConv

import zoo
from tests.pretrained.pyg import A, F, Graph, close, layer, network, relational
from zoo.attention import Edges
from zoo.pretrained import pyg_options

pytestmark = pytest.mark.usefixtures("isolated_nodes_are_meant")


class Fused(GATConv):
    pass


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
    "class=Fused": (Fused, {}),
    "GCNConv is another architecture": (GCNConv, {}),
    "mod='additive'": (RGATConv, {"num_relations": 2, "mod": "additive"}),
    "mod='f-scaled'": (RGATConv, {"num_relations": 2, "mod": "f-scaled"}),
    "dim=2": (RGATConv, {"num_relations": 2, "dim": 2, "attention_mode": "multiplicative-self-attention"}),
}
MODELS = {
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


@pytest.mark.parametrize("word", REFUSED)
def test_what_ours_has_not_is_refused_by_name(word):
    kind, options = REFUSED[word]
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(kind(**{"in_channels": F, "out_channels": 4, **options}))
    assert word in str(refusal.value)


@pytest.mark.parametrize("word", MODELS)
def test_models_with_what_ours_has_not_are_refused_by_name(word):
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(network(MODELS[word]))
    assert word in str(refusal.value)


def _other_forward(conv):
    forward = conv.message
    conv.message = lambda *args, **kwargs: forward(*args, **kwargs) * 2


def _add_tensor(conv):
    conv.temperature = torch.nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(("change", "word"), [(_other_forward, "gives other outputs"), (_add_tensor, "temperature")])
@pytest.mark.parametrize("make", [lambda: layer(GATConv, {}), lambda: relational({})], ids=["GATConv", "RGATConv"])
def test_a_layer_that_somebody_changed_is_not_converted_silently(make, change, word):
    theirs = make()
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


MADE = {
    "GATConv": lambda: layer(GATConv, {"edge_dim": A, "residual": True, "fill_value": 0.5, "dropout": 0.1}),
    "bipartite": lambda: layer(GATConv, {"edge_dim": A}, (F, F)),
    "GATv2Conv": lambda: layer(GATv2Conv, {"edge_dim": A, "share_weights": True, "concat": False}),
    "TransformerConv": lambda: layer(TransformerConv, {"edge_dim": A, "beta": True}),
    "RGATConv": lambda: relational({"edge_dim": A, "num_bases": 2, "concat": False, "dropout": 0.1}),
    "models.GAT": lambda: network({"edge_dim": A, "norm": "BatchNorm", "residual": True, "heads": 2}),
}


@pytest.mark.parametrize("name", MADE)
def test_what_comes_with_a_converted_layer(name, tmp_path):
    """A config, so that it can be saved and loaded; its dtype and mode; and tensors of its own."""
    theirs = MADE[name]()
    graph = Graph(1, channels=(6, 6) if name == "RGATConv" else (F, F))
    assert len(graph.edge_attr)
    inputs = (graph.x, graph.edge_index, *([graph.relation] if name == "RGATConv" else []), graph.edge_attr)
    ours = zoo.convert(theirs)
    again = zoo.load(zoo.save(ours, tmp_path / "model"))
    assert again(*inputs).equal(ours(*inputs))
    for dtype in (torch.float64, torch.bfloat16):
        theirs = MADE[name]().to(dtype).train()
        ours = zoo.convert(theirs)
        assert {p.dtype for p in ours.parameters()} == {dtype}
        assert ours.training and all(module.training for module in theirs.modules())
        assert not {p.data_ptr() for p in ours.parameters()} & {p.data_ptr() for p in theirs.parameters()}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")  # torch's, of any use of them
def test_what_a_layer_takes_beside_pygs():
    """Edges sorted once, sparse features, and [E] for one feature an edge."""
    theirs, graph = layer(GATConv, {"edge_dim": 1}), Graph(1, edge_dim=1)
    ours = zoo.convert(theirs)
    expected = theirs(graph.x, graph.edge_index, graph.edge_attr)
    close(ours(graph.x, graph.edge_index, graph.edge_attr[:, 0]), expected)
    close(ours(graph.x, Edges(graph.edge_index, len(graph.x)), graph.edge_attr), expected)
    close(ours(graph.x.to_sparse_csr(), graph.edge_index, graph.edge_attr), expected)


def test_a_layer_refuses_what_it_cannot_mean():
    ours, graph = zoo.convert(layer(GATConv, {"edge_dim": A}, (F, F), add_self_loops=False)), Graph(1)
    wrong = {
        r"\(sources, None\)": ((graph.x, None), graph.edge_index),
        "2 features, the model was built for edge_dim=3": (graph.x, graph.edge_index, graph.edge_attr[:, :2]),
        r"x is \[N, F\] of floats": (graph.x.long(), graph.edge_index),
        "but there are": (graph.x, Edges(graph.edge_index, 99)),
    }
    for word, inputs in wrong.items():
        with pytest.raises(zoo.ZooError, match=word):
            ours(*inputs)
    ours, graph = zoo.convert(relational({})), Graph(1, channels=(6, 6))
    with pytest.raises(zoo.ZooError, match="3 features, the model was built for edge_dim=0"):
        ours(graph.x, graph.edge_index, graph.relation, graph.edge_attr)


def test_pytorch_geometric_is_imported_only_when_needed():
    code = "import sys, zoo, zoo.pretrained.convert, zoo.layers; sys.exit('torch_geometric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
