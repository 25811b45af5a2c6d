"""GraphPreprocess: what was done to the graphs of a training, kept in the model's folder, done again to others (B1)."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import zoo
from datamodules.graphs import NPZ
from zoo.errors import ZooError
from zoo.graphs import GraphPreprocess, random_walk
from zoo.models.fit import fit, label
from zoo.pretrained import facts

GOOD = {"kind": "graph", "in_dim": 3}
GAT = {
    "_target_": "zoo.models.graph.gat.GAT",
    "in_dim": None,
    "edge_dim": None,
    "num_classes": None,
    "head_dim": 2,
    "num_heads": 1,
}


@pytest.fixture
def file(tmp_path):
    draws = np.random.default_rng(0)
    edges = np.stack([np.arange(12), (np.arange(12) + 1) % 12])
    arrays = {"x": draws.random((12, 3), dtype=np.float32), "edge_index": edges, "y": np.arange(12) % 2}
    np.savez(path := tmp_path / "graph.npz", **arrays, edge_attr=draws.random((12, 2), dtype=np.float32))
    return path


def ready(file, **settings):
    data = NPZ(path=str(file), sparse_features=False, **settings)
    data.setup()
    return data


@pytest.mark.parametrize("row_normalise", [True, False])
def test_a_graph_is_prepared_as_in_training(file, row_normalise):
    data = ready(file, row_normalise=row_normalise, positions={"random_walk": 2})
    told = data.spec.preprocess
    assert told == GraphPreprocess(in_dim=3, edge_dim=2, row_normalise=row_normalise, positions={"random_walk": 2})
    raw = {key: torch.from_numpy(array) for key, array in np.load(file).items()}
    graph = told.prepare(Data(x=raw["x"], edge_index=raw["edge_index"]))
    assert torch.equal(graph.x, data.example().x) and torch.equal(graph.x, raw["x"]) != row_normalise
    assert torch.equal(graph.random_walk, random_walk(raw["edge_index"], 12, 2))


def test_it_travels_in_the_model_folder(file, tmp_path):
    data = ready(file, row_normalise=True)
    model = zoo.build(fit(GAT, data.spec, 2))
    label(model, data.spec)
    again = zoo.load(zoo.save(model, tmp_path / "model"))
    assert again.preprocess == data.spec.preprocess and again.classes == ("0", "1")
    blind = zoo.build(fit({**GAT, "edge_dim": 0}, data.spec, 2))  # reads none of what edges have
    label(blind, data.spec)
    assert zoo.load(zoo.save(blind, tmp_path / "blind")).preprocess.edge_dim == 2


def test_weights_are_fed_as_they_were_trained(file):
    """init=: null follows the source, a word of the user's own wins."""
    handed = asdict(GraphPreprocess(in_dim=3, row_normalise=True))
    for given, done in ((None, True), (False, False), (True, True)):
        data = NPZ(path=str(file), row_normalise=given)
        data.use_preprocess(handed)
        data.setup()
        assert data.spec.preprocess.row_normalise is done
    assert ready(file).spec.preprocess.row_normalise is False


def test_what_node2vec_learned_of_one_graph_feeds_no_other():
    told = GraphPreprocess(in_dim=3, features="both")
    with pytest.raises(ZooError, match="node2vec made of its own graph"):
        told.prepare(Data(x=torch.ones(2, 3), edge_index=torch.zeros(2, 0, dtype=torch.long)))


WRONG = {
    "in_dim": [0, -1, 1.0, True, None, "3", 10**12],
    "num_nodes": [0, "all", True],
    "edge_dim": [-1, None, 0.5],
    "num_relations": [0, [2]],
    "row_normalise": [1, None, "yes"],
    "features": ["deepwalk", [], {"node2vec": 1}, True],
    "positions": [None, ["laplacian"], {"laplacian": 0}, {"laplacian": 10**9}, {"eigen": 2}, {"random_walk": True}],
    "kind": ["graphs", None, 3, ["graph"]],
}


@pytest.mark.parametrize("field, value", [(field, value) for field, values in WRONG.items() for value in values])
def test_fields_of_a_file_are_not_trusted(field, value):
    with pytest.raises(ZooError, match=rf"^here: preprocess\.{field}="):
        facts.preprocess({**GOOD, field: value}, "here")


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ZooError, match=r"here: preprocess\.row_normalize is unknown; .*row_normalise"):
        facts.preprocess({**GOOD, "row_normalize": True}, "here")
    with pytest.raises(ZooError, match="here: preprocess has no in_dim"):
        facts.preprocess({"kind": "graph"}, "here")
    assert facts.preprocess({**GOOD, "positions": {"laplacian": 4}}, "here").positions == {"laplacian": 4}


def test_another_width_than_the_model_reads_is_refused(file, tmp_path):
    model = zoo.build({**GAT, "in_dim": 3, "edge_dim": 0, "num_classes": 2})
    model.preprocess = GraphPreprocess(in_dim=4)
    with pytest.raises(ZooError, match="preprocess has in_dim=4, but GAT takes 3"):
        zoo.save(model, tmp_path / "model")
