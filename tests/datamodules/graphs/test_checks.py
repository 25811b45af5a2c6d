"""Bad graphs are refused in a sentence that names the place (issue: bad input)."""

import numpy as np
import pytest
import torch

from datamodules.graphs import NPZ, DigitsGraphs, DigitsKNN
from datamodules.graphs.checks import check_splits
from datamodules.graphs.npz import read_arrays
from zoo.errors import ZooError
from zoo.spec import GraphSpec


def arrays(**changes):
    """A sound graph of 6 nodes; `changes` replace arrays, None leaves one out."""
    train = np.array([1, 1, 0, 0, 0, 0], dtype=bool)
    val = np.array([0, 0, 1, 1, 0, 0], dtype=bool)
    sound = dict(
        x=np.arange(12, dtype=np.float32).reshape(6, 2),
        y=np.array([0, 1, 2, 0, 1, 2]),
        edge_index=np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]),
        train_mask=train,
        val_mask=val,
        test_mask=~(train | val),
    )
    return {key: value for key, value in {**sound, **changes}.items() if value is not None}


@pytest.fixture
def graph(tmp_path):
    """A module of these arrays, set up."""

    def make(changes=None, **options):
        np.savez(tmp_path / "graph.npz", **arrays(**(changes or {})))
        module = NPZ(path=str(tmp_path / "graph.npz"), cache=str(tmp_path), **options)
        module.setup()
        return module

    return make


def with_value(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


GOOD = arrays()
BAD = {
    "edge beyond": (
        {"edge_index": with_value(GOOD["edge_index"], (1, 3), 6)},
        r"edge 3 goes from 3 to 6, but there are nodes 0 to 5 \(the first of 1 such edges\)",
    ),
    "edge below": ({"edge_index": with_value(GOOD["edge_index"], (0, 1), -1)}, r"edge 1 goes from -1 to 2"),
    "edges as floats": ({"edge_index": GOOD["edge_index"].astype(float)}, "edge_index is float64.*int64"),
    "edges as rows": ({"edge_index": GOOD["edge_index"].T}, r"edge_index has shape \(5, 2\); it must be \[2, E\]"),
    "features of one node": ({"x": GOOD["x"][0]}, r"x has shape \(2,\); it must be \[N, F\]"),
    "no features": ({"x": GOOD["x"][:, :0]}, r"x has shape \(6, 0\)"),
    "whole numbers": ({"x": GOOD["x"].astype(int)}, "x is int64.*floating-point"),
    "NaN": ({"x": with_value(GOOD["x"], (4, 1), np.nan)}, "x of node 4 is nan in column 1"),
    "infinite": ({"x": with_value(GOOD["x"], (2, 0), np.inf)}, "x of node 2 is inf in column 0"),
    "float labels": ({"y": GOOD["y"].astype(float)}, "labels are float64.*whole numbers"),
    "negative label": ({"y": with_value(GOOD["y"], 3, -1)}, r"label -1 of row 3 is outside the 3 classes"),
    "too few labels": ({"y": GOOD["y"][:5]}, r"labels are int64 \[5\]; they must be int64 \[6\]"),
    "edge_attr too short": ({"edge_attr": np.ones((4, 2), np.float32)}, r"edge_attr is float32 \[4, 2\].*E = 5"),
    "edge_attr flat": ({"edge_attr": np.ones(5, np.float32)}, r"edge_attr is float32 \[5\]"),
    "edge_attr NaN": ({"edge_attr": with_value(np.ones((5, 1), np.float32), 2, np.nan)}, "edge_attr of edge 2 is not"),
    "overlap": (
        {"test_mask": with_value(GOOD["test_mask"], 1, True)},
        "1 nodes are for train and for test at once, the first is 1: scores on them would be leaked",
    ),
    "short mask": ({"val_mask": GOOD["val_mask"][:5]}, r"val_mask has shape \(5,\), but there are 6 nodes"),
    "numbers as mask": ({"val_mask": GOOD["val_mask"].astype(int)}, "val_mask is int64; save it as bool"),
    "two masks": ({"val_mask": None}, "has masks, but no val_mask; give all three or none"),
    "nothing to learn": ({"train_mask": np.zeros(6, bool)}, "there is no training node"),
    "no nodes": (
        {
            "x": GOOD["x"][:0],
            "y": GOOD["y"][:0],
            "edge_index": np.zeros((2, 0), int),
            **{f"{part}_mask": np.zeros(0, bool) for part in ("train", "val", "test")},
        },
        r"the graph has no nodes; x has shape \(0, 2\)",
    ),
    "missing arrays": ({"x": None, "edge_index": None}, "lacks x, edge_index; it has test_mask, train_mask"),
    "unknown array": ({"edge_atr": np.ones((5, 1))}, "'edge_atr', which nothing reads; did you mean 'edge_attr'"),
    "objects": ({"y": np.array([None] * 6)}, "cannot be read as .npz"),
    "words": ({"y": np.array(list("abcdef"))}, "y is an array of <U1"),
}


@pytest.mark.parametrize("changes, sentence", BAD.values(), ids=BAD)
def test_bad_graphs_are_refused(graph, changes, sentence):
    with pytest.raises(ZooError, match=sentence):
        graph(changes)


def test_the_sound_one_is_not(graph):
    module = graph({"edge_attr": np.ones((5, 3), np.float32)})
    assert module.spec == GraphSpec(classes=("0", "1", "2"), in_dim=2, edge_dim=3)
    batch = module.example()
    assert batch.rows["train"].tolist() == [0, 1] and batch.edge_attr.shape == (5, 3)
    assert batch.labels.dtype == torch.int64 and not module.multilabel


@pytest.mark.parametrize("value", [np.array([[0.5, 1.0]] * 6), np.array([[0, 1]] * 6)])
def test_several_labels_are_zeros_and_ones(graph, value):
    assert graph({"y": np.eye(3)[GOOD["y"]]}).multilabel
    with pytest.raises(ZooError, match="several at once must be"):
        graph({"y": value})


def test_no_file(tmp_path):
    with pytest.raises(ZooError, match=r"data=npz needs data.path="):
        NPZ().setup()
    with pytest.raises(ZooError, match="is not there"):
        NPZ(path=str(tmp_path / "none.npz")).setup()
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ZooError, match=r"cannot be read as \.npz"):
        NPZ(path=str(tmp_path / "text.npz")).setup()


def test_without_masks_the_split_is_seeded_and_in_proportion(tmp_path):
    y = np.repeat([0, 1, 2], [50, 30, 20])
    edges = np.stack([np.arange(100), np.roll(np.arange(100), 1)])
    np.savez(tmp_path / "g.npz", x=np.random.default_rng(0).standard_normal((100, 4)), y=y, edge_index=edges)

    def rows(**options):
        module = NPZ(path=str(tmp_path / "g.npz"), **options)
        module.setup()
        return module.example().rows

    parts = rows()
    counts = {part: np.bincount(y[found]).tolist() for part, found in parts.items()}
    assert counts == {"train": [30, 18, 12], "val": [10, 6, 4], "test": [10, 6, 4]}
    assert torch.equal(rows(seed=3)["train"], parts["train"])
    assert not torch.equal(rows(split_seed=3)["train"], parts["train"])
    assert {part: len(found) for part, found in rows(split=[0.5, 0, 0.5]).items()} == {
        "train": 50,
        "val": 0,
        "test": 50,
    }
    y[0] = 3  # a class of one
    np.savez(tmp_path / "g.npz", x=np.ones((100, 4)), y=y, edge_index=edges)
    with pytest.raises(ZooError, match="cannot take a stratified part of 100 rows of 4 classes"):
        rows()


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"loader": "neighbour"}, "data.loader=neighbour is unknown: did you mean 'neighbor'"),
        ({"features": "deepwalk"}, "data.features=deepwalk is unknown"),
        ({"sparse_features": "yes"}, "data.sparse_features=yes is unknown"),
        ({"sparse_features": True, "loader": "neighbor"}, "sparse_features=true is for full graphs"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"node2vec": {"walk_lenght": 3}}, "walk_lenght is not a setting; did you mean 'walk_length'"),
        ({"node2vec": {"context_size": 30}}, "context_size=30 does not fit walk_length=20"),
        ({"node2vec": {"lr": 0}}, "node2vec.lr=0 is not a number above 0"),
    ],
)
def test_unknown_options_are_refused_at_once(options, sentence):
    with pytest.raises(ZooError, match=sentence):
        DigitsKNN(**options)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"loader": "neighbor"}, "samples one large graph; this set has many"),
        ({"features": "node2vec"}, "is for one graph with one type of node"),
        ({"sparse_features": True}, "is for one full graph; this set has many"),
        ({"positions": {"shortest_path": 3}}, "not of batches"),
    ],
)
def test_sets_of_many_graphs_refuse_what_is_for_one(options, sentence):
    with pytest.raises(ZooError, match=sentence):
        DigitsGraphs(**options).setup()


@pytest.mark.parametrize("loader", ["full", "neighbor"])
def test_batches_that_do_not_divide_are_refused(processes, loader):
    module = DigitsKNN(loader=loader, batch_size=64)
    module.setup()
    module.trainer = processes(0, 3)
    with pytest.raises(ZooError, match=r"(a batch of 200|data.batch_size=64 .*) does not divide by 3"):
        module.train_dataloader()


def test_more_processes_than_nodes_are_refused(processes, tmp_path):
    np.savez(tmp_path / "g.npz", **arrays())
    module = NPZ(path=str(tmp_path / "g.npz"), loader="neighbor", batch_size=3)
    module.setup()
    module.trainer = processes(0, 3)
    with pytest.raises(ZooError, match="has 2 nodes for 3 processes"):
        module.val_dataloader()


def test_parts_must_lie_within():
    rows = torch.arange(3)
    with pytest.raises(ZooError, match="the test part has node 9, but there are 9"):
        check_splits({"train": rows, "val": rows[:0], "test": torch.tensor([9])}, 9)
    with pytest.raises(ZooError, match="the train part has a graph twice"):
        check_splits({"train": rows.repeat(2), "val": rows[:0], "test": rows[:0]}, 9, multi_graph=True)


def test_order_of_calls():
    module = DigitsKNN()
    with pytest.raises(RuntimeError, match="setup"):
        _ = module.spec
    module.setup()
    with pytest.raises(RuntimeError, match="use_positions"):
        module.use_positions({"laplacian": 4})


def test_a_small_npz_that_unpacks_to_a_huge_one_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.graphs.npz.LEAST", 1 << 20)
    x, edges = np.zeros((3000, 200), dtype=np.float32), np.zeros((2, 1), dtype=np.int64)
    np.savez_compressed(tmp_path / "small.npz", x=x, y=np.arange(3000) % 2, edge_index=edges)
    np.savez(tmp_path / "plain.npz", x=x, y=np.arange(3000) % 2, edge_index=edges)
    with pytest.raises(ZooError, match="more than 500 times its size; if it is meant"):
        read_arrays(tmp_path / "small.npz")
    assert read_arrays(tmp_path / "plain.npz")["x"].shape == (3000, 200)
