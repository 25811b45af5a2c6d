"""`python -m zoo predict RUN graph.npz`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo as library
from zoo.graphs import GraphPreprocess

GAT = {"_target_": "zoo.models.gat.GAT", "in_dim": 5, "num_classes": 3, "head_dim": 4, "num_heads": 2}
RGAT = {"_target_": "zoo.models.rgat.RGAT", "in_dim": 5, "num_classes": 3, "num_relations": 2, "head_dim": 4}
HAN = {"_target_": "zoo.models.han.HAN", "in_dim": 5, "num_classes": 3}
N, E = 30, 200


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    x = draws.random((N, 5), dtype=np.float32)
    return {"x": x, "edge_index": np.stack([draws.integers(0, N, E), np.arange(E) % N])}


@pytest.fixture
def file(tmp_path):
    """Write arrays as an .npz: file(x=..., edge_index=...)."""

    def write(**arrays) -> Path:
        np.savez(path := tmp_path / "graph.npz", **arrays)
        return path

    return write


def logits(run: Path, *inputs) -> torch.Tensor:
    with torch.no_grad():
        return library.load(run)(*inputs)


def lines(shares: torch.Tensor, top: int) -> list[list[str]]:
    """Rows of the table, as words."""
    found = []
    for node, row in enumerate(shares):
        each = [f"kind {i} {100 * p:.1f} %" for p, i in zip(*(t.tolist() for t in row.topk(top)), strict=True)]
        found.append(f"node {node} {' '.join(each)}".split())
    return found


def both(arrays) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["edge_index"])


def test_the_nodes_of_a_graph(zoo, graph_run, arrays, file):
    run = graph_run(GAT)
    code, out, err = zoo("predict", run, file(**arrays), "--node", "25", "--top", "2")
    assert code == 0, err
    title, *table = out.splitlines()
    shares = logits(run, *both(arrays)).softmax(-1)
    wanted = lines(shares, 2)
    assert title.endswith("graph.npz   20 of 30 nodes")
    assert [row.split() for row in table[:20]] == [*wanted[:19], wanted[25]]  # the node that is drawn is among them
    counts = dict(zip(*(t.tolist() for t in shares.argmax(-1).unique(return_counts=True)), strict=True))
    said = {int(row.split()[1]): int(row.split()[2]) for row in table[21:24]}
    assert table[20] == "nodes of each class" and said == {i: counts.get(i, 0) for i in range(3)}
    assert list(said.values()) == sorted(said.values(), reverse=True)
    assert Path(table[24]) == Path.cwd() / "attention-graph.png" and len(table) == 25
    with Image.open(table[24]) as image:
        assert image.width > 400


def test_what_is_drawn_and_where(zoo, graph_run, arrays, file):
    run, npz = graph_run(GAT), file(**arrays)
    zoo("predict", run, npz, "--out", "one.png")
    zoo("predict", run, npz, "--node", "3", "--out", "three.png")
    zoo("predict", run, npz, "--out", "figures")
    assert Path("one.png").read_bytes() == Path("figures/attention-graph.png").read_bytes()
    assert Path("one.png").read_bytes() != Path("three.png").read_bytes()


def test_a_small_graph_and_what_data_npz_reads_besides(zoo, graph_run, file):
    """y and masks may stay in the file; integers may be narrow, floats wide."""
    extra = {"y": np.array([0, 1]), **{f"{stage}_mask": np.ones(2, bool) for stage in ("train", "val", "test")}}
    npz = file(x=np.ones((2, 5)), edge_index=np.array([[0], [1]], dtype=np.int32), **extra)
    code, out, err = zoo("predict", graph_run(GAT), npz)
    assert code == 0 and out.splitlines()[0].endswith("graph.npz   2 nodes"), err


def test_the_data_are_treated_as_those_of_the_run(zoo, graph_run, arrays, file):
    """Features that added up to 1 in training do here; given the run, or the model folder in it."""
    run = graph_run(GAT, data={"row_normalise": True})
    x, edge_index = both(arrays)
    x = x - x.min()
    wanted = lines(logits(run, x / x.sum(1, keepdim=True).clamp(min=1), edge_index).softmax(-1), 3)[:19]
    for folder in (run, run / "model"):
        out = zoo("predict", folder, file(**arrays))[1]
        assert [row.split() for row in out.splitlines()[1:20]] == wanted


def test_a_model_folder_tells_how_its_graphs_were_prepared(zoo, arrays, file, tmp_path, caplog):
    """The folder alone, wherever it lies: no run, no config.yaml. One of an earlier version does not tell, which is said."""
    model = library.build(GAT).eval()
    model.preprocess = GraphPreprocess(in_dim=5, row_normalise=True)
    folder = library.save(model, tmp_path / "elsewhere" / "mine")
    x, edge_index = both(arrays)
    x = x - x.min()
    wanted = lines(logits(folder, x / x.sum(1, keepdim=True).clamp(min=1), edge_index).softmax(-1), 3)[:19]
    named = [[word.replace("kind", "") for word in row] for row in wanted]
    code, out, err = zoo("predict", folder, file(**arrays))
    assert code == 0, err
    assert [row.split() for row in out.splitlines()[1:20]] == [[word for word in row if word] for row in named]
    model.preprocess = None
    assert "as it stands" not in caplog.text
    zoo("predict", library.save(model, folder), file(**arrays))
    assert "does not tell how its graphs were prepared: this one is taken as it stands" in caplog.text


def test_several_labels(zoo, graph_run, arrays, file):
    run = graph_run(GAT, task={"multilabel": True})
    out = zoo("predict", run, file(**arrays))[1].splitlines()
    shares = logits(run, *both(arrays)).sigmoid()
    assert [row.split() for row in out[1:20]] == lines(shares, 3)[:19]
    said = {int(row.split()[1]): int(row.split()[2]) for row in out[22:25]}
    assert said == dict(enumerate((shares > 0.5).sum(0).tolist()))


def test_a_whole_graph(zoo, graph_run, arrays, file):
    run = graph_run({**GAT, "readout": "mean"})
    title, *table = zoo("predict", run, file(**arrays), "--top", "2")[1].splitlines()
    shares = logits(run, *both(arrays)).softmax(-1)
    assert shares.shape == (1, 3) and title.endswith("a graph of 30 nodes")
    assert [["node", "0", *row.split()] for row in [" ".join(table[:2])]] == lines(shares, 2)
    assert Path(table[2]).is_file() and len(table) == 3


def test_relations_features_of_edges_and_positions(zoo, graph_run, arrays, file):
    x, edge_index = both(arrays)
    kinds = np.arange(E, dtype=np.int16) % 2
    rgat = graph_run(RGAT)
    out = zoo("predict", rgat, file(**arrays, edge_type=kinds))[1].splitlines()
    shares = logits(rgat, x, edge_index, torch.from_numpy(kinds).long()).softmax(-1)
    assert [row.split() for row in out[1:20]] == lines(shares, 3)[:19]

    of_edges = graph_run({**GAT, "edge_dim": 2})
    edge_attr = np.random.default_rng(1).random((E, 2))
    out = zoo("predict", of_edges, file(**arrays, edge_attr=edge_attr))[1].splitlines()
    shares = logits(of_edges, x, edge_index, torch.from_numpy(edge_attr).float()).softmax(-1)
    assert [row.split() for row in out[1:20]] == lines(shares, 3)[:19]

    from zoo.graphs import random_walk

    place = {"_target_": "zoo.attention.RandomWalk", "_partial_": True, "k": 3}
    placed = graph_run({**GAT, "position": place})
    out = zoo("predict", placed, file(**arrays))[1].splitlines()
    shares = logits(placed, x, edge_index, None, random_walk(edge_index, N, 3)).softmax(-1)
    assert [row.split() for row in out[1:20]] == lines(shares, 3)[:19]


def test_nodes_by_number(zoo, graph_run, arrays, file, refused):
    """Where nodes have no features the model knows those of its own graph; x may be left out, or be the numbers."""
    run = graph_run({**RGAT, "in_dim": N, "num_nodes": N})
    edges = {"edge_index": arrays["edge_index"], "edge_type": np.zeros(E, dtype=np.int64)}
    out = zoo("predict", run, file(**edges))[1]
    assert "20 of 30 nodes" in out and zoo("predict", run, file(**edges, x=np.arange(N, dtype=np.int32)))[1] == out
    few = {"edge_index": np.zeros((2, 1), dtype=int), "edge_type": np.zeros(1, dtype=int), "x": np.arange(2)}
    assert "knows the 30 of its own graph by number" in refused("predict", run, file(**few))
    assert "nodes without features are numbered 0 to 29" in refused(
        "predict", run, file(**arrays, edge_type=np.zeros(E, int))
    )


def test_without_edges_to_look_along_it_still_predicts(zoo, graph_run, arrays, file, refused):
    full = {"_target_": "zoo.attention.Full"}
    attention = {"_target_": "zoo.attention.Attention", "_partial_": True, "pattern": full}
    run, npz = graph_run({**GAT, "attention": attention}), file(**arrays)
    code, out, _ = zoo("predict", run, npz)
    assert code == 0 and out.splitlines()[-1].startswith("Nothing is drawn: GAT attends to all nodes")
    assert "attends to all nodes" in refused("predict", run, npz, "--node", "1")
    assert list(Path.cwd().iterdir()) == []


def test_a_graph_for_images_and_an_image_for_graphs(refused, run, graph_run, arrays, file, tmp_path):
    npz, gat = file(**arrays), graph_run(GAT)
    assert "ViT takes no graph" in refused("predict", run, npz)
    for source in ("cat.png", tmp_path, "test:3"):
        assert "GAT takes a graph" in refused("predict", gat, source)
    assert "--node 1 is for a graph" in refused("predict", run, "cat.png", "--node", "1")
    metadata = {"target": "paper", "metapaths": [["paper", "by", "paper"]]}
    assert "HAN reads graphs with several types of node" in refused(
        "predict", graph_run({**HAN, "metadata": metadata}), npz
    )


def changed(name, value):
    return lambda arrays: {**arrays, name: value}


@pytest.mark.parametrize("model, change, said", [
    (GAT, changed("x", np.ones((N, 4))), "x has 4 features a node, but GAT was made for 5"),
    (GAT, changed("x", np.ones((N, 5), int)), "features must be floating-point numbers"),
    (GAT, changed("x", np.full((N, 5), np.nan)), "x of node 0 is nan"),
    (GAT, changed("x", np.ones((0, 5))), "the graph has no nodes"),
    (GAT, changed("x", np.ones((9, 5))), "there are nodes 0 to 8"),
    (GAT, changed("edge_index", np.zeros((3, E), int)), "it must be [2, E]"),
    (GAT, lambda arrays: {"x": arrays["x"]}, "lacks edge_index; it has x"),
    (GAT, changed("edge_attr", np.ones((E, 2))), "has 'edge_attr', which this GAT does not read"),
    (GAT, changed("edge_idx", np.ones(2)), "did you mean 'edge_index'?"),
    ({**GAT, "edge_dim": 2}, dict, "lacks edge_attr"),
    ({**GAT, "edge_dim": 2}, changed("edge_attr", np.ones((E, 3))), "edge_attr has 3 features, but GAT was made for 2"),
    (RGAT, dict, "lacks edge_type"),
    (RGAT, changed("edge_type", np.zeros(4, int)), "edge_type is int64 [4]"),
    (RGAT, changed("edge_type", np.full(E, 2)), "Relations are numbered 0 to 1; got 2 to 2"),
])  # fmt: skip
def test_arrays_that_do_not_fit(refused, graph_run, arrays, file, model, change, said):
    assert said in refused("predict", graph_run(model), file(**change(arrays)))
    assert list(Path.cwd().iterdir()) == []


def test_other_bad_inputs(refused, graph_run, arrays, file, tmp_path):
    run, npz = graph_run(GAT), file(**arrays)
    (tmp_path / "broken.npz").write_text("no arrays")
    learned = graph_run(GAT, data={"features": "node2vec"})
    for words, said in {
        (run, npz, "--node", "30"): "its 30 nodes are numbered from 0",
        (run, npz, "--node", "-1"): "--node -1 is not one",
        (run, npz, "--top", "0"): "--top 0",
        (run, npz, "--out", "x.pdf"): "x.pdf is not a .png",
        (run, tmp_path / "nowhere.npz"): "nowhere.npz does not exist",
        (run, tmp_path / "broken.npz"): "cannot be read as .npz",
        (learned, npz): "node2vec made of its own graph",
    }.items():
        assert said in refused("predict", *words)
    assert list(Path.cwd().iterdir()) == []
