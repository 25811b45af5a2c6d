"""Weights of edges as figures show them. D1: "When the user asks for GAT weights, they get (edge_index, alpha) in INPUT edge
order, self-loops marked, pre-dropout, summing to 1 per target."."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from torch import nn
from torch_geometric.data import Data

from zoo.attention import EdgeWeights
from zoo.errors import ZooError
from zoo.inspect import (
    edge_entropy,
    interesting_node,
    plot_entropy,
    plot_neighbourhood,
    uniform_entropy,
    weights_of,
)
from zoo.models.graph.gat import GAT

PNG = b"\x89PNG"


def softmaxed(edge_index: torch.Tensor, heads: int, num_nodes: int, sharp: float = 1.0) -> EdgeWeights:
    """Random weights that sum to 1 per target."""
    raw = (sharp * torch.randn(edge_index.shape[1], heads, dtype=torch.float64)).exp()
    total = torch.zeros(num_nodes, heads, dtype=torch.float64).index_add(0, edge_index[1], raw)
    return EdgeWeights(edge_index, raw / total[edge_index[1]], edge_index[0] == edge_index[1])


def graph(num_nodes: int = 60, edges: int = 400, loops: bool = True, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    edge_index = torch.randint(num_nodes, (2, edges))
    own = torch.arange(num_nodes).expand(2, -1)
    return torch.cat([edge_index[:, edge_index[0] != edge_index[1]], *([own] if loops else [])], 1)


def sane(png) -> bool:
    """A whole picture of bearable size, with something on it, and nothing left beside it."""
    height, width, _ = (pixels := imread(png)).shape
    alone = [path.name for path in png.parent.iterdir()] == [png.name]
    return png.read_bytes()[:4] == PNG and 300 < height < 3000 and 500 < width < 3000 and pixels.std() > 0.02 and alone


# ---- numbers


@given(st.integers(1, 8), st.integers(0, 30), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_entropy_is_that_of_a_naive_loop_with_multi_edges(n, edges, heads, seed):
    torch.manual_seed(seed)
    weights = softmaxed(torch.randint(n, (2, edges)), heads, n, 3.0)
    by_hand = torch.zeros(n, heads, dtype=torch.float64)
    for (_, target), alpha in zip(weights.edge_index.T.tolist(), weights.alpha.tolist(), strict=True):
        for h, a in enumerate(alpha):
            by_hand[target, h] -= a * math.log(a)
    torch.testing.assert_close(edge_entropy(weights, n), by_hand)
    degree = [int((weights.edge_index[1] == i).sum()) for i in range(n)]
    assert uniform_entropy(weights, n).tolist() == pytest.approx([math.log(max(d, 1)) for d in degree])
    assert (edge_entropy(weights, n) <= uniform_entropy(weights, n)[:, None] + 1e-9).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_uniform_attention_gives_log_degree_and_one_edge_none(dtype):
    target = torch.tensor([0] + [1] * 2 + [2] * 8 + [4])  # node 3 has no edge
    edge_index = torch.stack([torch.zeros_like(target), target])
    alpha = (1 / torch.bincount(target)[target].to(dtype)).unsqueeze(1).expand(-1, 2)
    weights = EdgeWeights(edge_index, alpha, torch.zeros(len(target), dtype=torch.bool))
    expected = torch.tensor([0, 2, 8, 1, 1]).clamp(min=1).log()
    for found in (edge_entropy(weights, 5)[:, 0], edge_entropy(weights, 5)[:, 1], uniform_entropy(weights, 5)):
        torch.testing.assert_close(found.float(), expected)
    assert edge_entropy(weights, 5)[[0, 3, 4]].eq(0).all()


def test_a_softmax_in_each_relation_is_one_distribution():
    """Two relations of two edges each: the weights of a target sum to 2, and all alike is still log 4."""
    weights = EdgeWeights(
        torch.zeros(2, 4, dtype=torch.long), torch.full((4, 1), 0.5), torch.zeros(4, dtype=torch.bool)
    )
    torch.testing.assert_close(edge_entropy(weights, 1), torch.full((1, 1), math.log(4)))


def test_what_is_no_edge_weights_of_this_graph_is_refused():
    weights = softmaxed(graph(), 2, 60)
    with pytest.raises(ZooError, match="num_nodes=10"):
        edge_entropy(weights, 10)
    with pytest.raises(ZooError, match="of one sample"):
        edge_entropy(weights._replace(alpha=weights.alpha[None]), 60)


# ---- which node


def star(sizes: list[int]) -> torch.Tensor:
    """Node i has sizes[i] sources, nodes further on, and a loop."""
    first = len(sizes)
    edges = [(first + j, i) for i, size in enumerate(sizes) for j in range(size)]
    return torch.tensor(edges + [(i, i) for i in range(first + max(sizes))]).T


def test_the_node_has_some_neighbours_of_several_classes():
    weights = softmaxed(star([2, 30, 12, 9, 11, 9]), 1, 36)
    assert interesting_node(weights) == 3  # nearest to 10, the first of them
    labels = torch.zeros(36, dtype=torch.long)
    labels[17] = 1  # the twelfth source: only nodes 1 and 2 see it
    assert interesting_node(weights, labels) == 2
    labels[17] = -1  # unknown is not a class
    assert interesting_node(weights, labels) == 3
    assert interesting_node(weights, labels[:10]) == interesting_node(weights, labels.float()) == 3  # not one a node


def test_without_such_a_node_the_nearest_is_taken():
    assert interesting_node(softmaxed(star([2, 30, 3]), 1, 33)) == 2
    assert interesting_node(softmaxed(torch.arange(4).expand(2, -1), 1, 4)) == 0  # only loops
    with pytest.raises(ZooError, match="no edges"):
        interesting_node(softmaxed(torch.zeros(2, 0, dtype=torch.long), 1, 4))


# ---- recording


def data() -> Data:
    return Data(x=torch.randn(60, 5), edge_index=graph(loops=False), labels=torch.arange(60) % 3)


def test_weights_of_a_model_and_its_modes_stay():
    model, example = GAT(5, 3, head_dim=4, num_heads=2).train(), data()
    model.layers[0].eval()
    before = [module.training for module in model.modules()]
    records = weights_of(model, example)
    assert [module.training for module in model.modules()] == before
    assert list(records) == ["layers.0.attn", "layers.1.attn"]
    for weights, heads in zip(records.values(), (2, 1), strict=True):
        assert torch.equal(weights.edge_index[:, ~weights.is_loop], example.edge_index)
        assert weights.is_loop.sum() == 60 and weights.alpha.shape == (len(weights.is_loop), heads)
        total = torch.zeros(60, heads).index_add(0, weights.edge_index[1], weights.alpha)
        torch.testing.assert_close(total, torch.ones(60, heads))
    again = weights_of(model, example)  # without dropout: no chance in it
    assert all(torch.equal(records[path].alpha, again[path].alpha) for path in records)
    assert weights_of(model.double(), example)["layers.0.attn"].alpha.dtype == torch.float64
    assert example.x.dtype == torch.float32


def test_models_without_weights_of_edges_are_refused():
    from functools import partial

    from zoo.attention import Attention, Full, ScaledDot

    with pytest.raises(ZooError, match="takes no graph"):
        weights_of(nn.Linear(5, 3), data())
    dense = GAT(5, 3, head_dim=4, num_heads=2, attention=partial(Attention, score=ScaledDot, pattern=Full()))
    with pytest.raises(ZooError, match="to all nodes"):
        weights_of(dense, data())


# ---- pictures


@pytest.mark.parametrize("layers, heads", [(1, 1), (2, 8), (3, 8), (32, 1), (2, 16)])
def test_entropy_is_drawn(tmp_path, layers, heads):
    weights = softmaxed(graph(), heads, 60, 2.0)
    assert sane(plot_entropy({f"layers.{i}.attn": weights for i in range(layers)}, 60, tmp_path / "e.png"))


def test_entropy_of_records_over_other_nodes_and_of_none(tmp_path):
    alone = softmaxed(torch.arange(4).expand(2, -1), 2, 4)  # each node sees itself: no choice
    assert sane(plot_entropy({"a": alone, "b": softmaxed(graph(90), 2, 90)}, 60, tmp_path / "e.png"))
    empty = softmaxed(torch.zeros(2, 0, dtype=torch.long), 2, 4)
    for records in ({}, {"a": alone}, {"a": empty}):
        with pytest.raises(ZooError, match="two incoming edges"):
            plot_entropy(records, 4, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("heads", [1, 3, 8, 9])
@pytest.mark.parametrize("loops", [True, False])
def test_neighbourhood_is_drawn(tmp_path, heads, loops):
    weights = softmaxed(graph(loops=loops), heads, 60, 2.0)
    labels = torch.arange(60) % 4
    node = interesting_node(weights, labels)
    assert sane(plot_neighbourhood(weights, node, tmp_path / "n.png", labels, ("one", "two", "three")))


ODD_LABELS = {"none": None, "too few": torch.arange(40), "several": torch.rand(60, 3), "many classes": torch.arange(42),
              "unknown": torch.full((42,), -1)}  # fmt: skip


@pytest.mark.parametrize("labels", ODD_LABELS.values(), ids=ODD_LABELS)
def test_neighbourhood_with_any_labels(tmp_path, labels):
    weights = softmaxed(star([40, 1]), 2, 42)
    assert sane(plot_neighbourhood(weights, 0, tmp_path / "n.png", labels))


def test_one_edge_only_a_loop_and_nothing(tmp_path):
    weights = softmaxed(star([1, 1]), 2, 3)
    for node in (0, 2):  # one neighbour and itself; only itself
        assert sane(plot_neighbourhood(weights, node, tmp_path / "n.png"))
    with pytest.raises(ZooError, match="Node 9 has no incoming edge"):
        plot_neighbourhood(weights, 9, tmp_path / "none.png")


def text_of(monkeypatch, draw) -> str:
    """What is written on a figure, without drawing it."""
    from matplotlib.text import Text

    from zoo.inspect import graphs

    said: list[str] = []
    monkeypatch.setattr(graphs, "save", lambda figure, png: said.extend(t.get_text() for t in figure.findobj(Text)))
    draw("unused.png")
    return "\n".join(said)


def test_the_picture_says_what_is_left_out(monkeypatch):
    weights = softmaxed(star([40]), 9, 41)
    said = text_of(monkeypatch, lambda png: plot_neighbourhood(weights, 0, png))
    assert "its 40 neighbours: the 24 strongest" in said and "mean of 9 heads" in said
    strongest = (weights.alpha[:40].mean(1).topk(24).indices + 1).tolist()  # source j + 1 has edge j
    assert {int(line) for line in said.split("\n") if line.isdigit()} == {0, *strongest}
    said = text_of(monkeypatch, lambda png: plot_entropy({f"{i}": weights for i in range(32)}, 41, png))
    assert "4 of 32 layers" in said


def test_a_double_edge_is_one_line_with_the_sum(monkeypatch):
    edge_index = torch.tensor([[1, 1, 2], [0, 0, 0]])
    weights = EdgeWeights(edge_index, torch.tensor([[0.3], [0.4], [0.3]]), torch.zeros(3, dtype=torch.bool))
    said = text_of(monkeypatch, lambda png: plot_neighbourhood(weights, 0, png))
    assert "its 2 neighbours" in said and ".70" in said and "uniform, each .33" in said


def test_the_mean_ratio_to_uniform_is_written(monkeypatch):
    edge_index = torch.stack([torch.arange(4), torch.zeros(4, dtype=torch.long)])
    alpha = torch.tensor([[0.25, 1.0, 0.5], [0.25, 0, 0.5], [0.25, 0, 0], [0.25, 0, 0]])
    weights = EdgeWeights(edge_index, alpha, torch.zeros(4, dtype=torch.bool))
    said = text_of(monkeypatch, lambda png: plot_entropy({"a": weights}, 4, png))
    assert all(words in said for words in ("head 0\n100.0 %", "head 1\n0.0 %", "head 2\n50.0 %"))
