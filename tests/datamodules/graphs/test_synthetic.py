"""Graphs that are made in code: what they hold, their parts, and the same ones for the same seed."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from datamodules.graphs import DictionaryLookup, DigitsGraphs, DigitsKNN
from datamodules.graphs.synthetic import dictionary_lookup
from datamodules.images import Digits
from zoo.errors import ZooError
from zoo.graphs import grid
from zoo.spec import GraphSpec


def ready(module):
    module.prepare_data()
    module.setup()
    return module


def test_digits_knn_is_the_nearest_neighbour_graph():
    module = ready(DigitsKNN())
    graph, x = module.example(), load_digits().data
    distance = ((x[:, None] - x[None]) ** 2).sum(-1) + np.diag(np.full(len(x), np.inf))
    tied = torch.zeros(len(x), len(x), dtype=torch.int64)
    tied[tuple(graph.edge_index)] += 1
    assert graph.num_edges == tied.sum() and torch.equal(tied, tied.T) and not tied.diagonal().any()
    reach = np.sort(distance, 1)[:, 9]  # to the tenth; ties in distance may fall either way
    near = torch.from_numpy((distance < reach[:, None]) | (distance < reach[None]))
    allowed = torch.from_numpy((distance <= reach[:, None]) | (distance <= reach[None]))
    assert tied[near].all() and not tied[~allowed].any()
    assert module.spec == GraphSpec(classes=module.classes, in_dim=64)
    assert torch.equal(graph.x, torch.from_numpy(x / 16).float()) and module.classes == tuple("0123456789")


def test_digits_knn_parts():
    module = ready(DigitsKNN())
    labels, rows = module.example().labels, module.example().rows
    assert (module.train_size, module.val_size, module.test_size) == (200, 500, 1097) and module.samples_per_step == 200
    assert labels[rows["train"]].bincount().tolist() == [20] * 10
    assert torch.cat(list(rows.values())).sort().values.tolist() == list(range(1797))
    again, other = ready(DigitsKNN(seed=7)), ready(DigitsKNN(split_seed=1))
    assert torch.equal(again.example().rows["train"], rows["train"]), "the run's seed does not choose the parts"
    assert not torch.equal(other.example().rows["train"], rows["train"])


@pytest.mark.parametrize("options", [{"labels_per_class": 175}, {"labels_per_class": 0}, {"val_nodes": 1597}])
def test_labels_that_do_not_fit_are_refused(options):
    with pytest.raises(ZooError, match="do not fit 1797 nodes"):
        DigitsKNN(**options).setup()
    with pytest.raises(ZooError, match="neighbours=0"):
        DigitsKNN(neighbours=0).setup()


def test_grid():
    edges = grid(2, 3)
    assert sorted(map(tuple, edges.T.tolist())) == sorted(
        (a, b) for a in range(6) for b in range(6) if abs(a // 3 - b // 3) + abs(a % 3 - b % 3) == 1
    )


def test_digits_graphs_are_the_pixels():
    module = ready(DigitsGraphs())
    batch = module.example()
    assert batch.num_graphs == 64 and len(batch.labels) == 64 and batch.ptr.tolist() == list(range(0, 64 * 65, 64))
    assert torch.equal(batch.rows["test"], torch.arange(64))
    first = module.source.splits["test"][0]
    digits = load_digits()
    assert torch.equal(batch.x[:64, 0].view(8, 8), torch.from_numpy(digits.images[first] / 16).float())
    assert torch.equal(batch.x[:64, 1].view(8, 8)[:, 0], torch.linspace(0, 1, 8))
    assert torch.equal(batch.x[:64, 2].view(8, 8)[0], torch.linspace(0, 1, 8))
    assert batch.labels[0] == digits.target[first]
    assert torch.equal(batch.edge_index[:, 224:448], grid(8, 8) + 64), "the second graph's nodes follow the first's"
    assert module.spec == GraphSpec(classes=module.classes, in_dim=3, graph_level=True)
    assert module.samples_per_step == 64


def test_digits_graphs_have_the_parts_of_the_image_digits():
    graphs, images = ready(DigitsGraphs()), Digits()
    images.setup()
    for part in ("train", "val", "test"):
        assert graphs.source.splits[part].tolist() == images.rows(part).tolist()


@pytest.mark.parametrize("split", [[0.6, 0.2], [0.6, 0.3, 0.3], [0, 0.5, 0.5], [1.2, -0.1, -0.1]])
def test_shares_that_are_none_are_refused(split):
    with pytest.raises(ZooError, match=r"data.split=.* three shares"):
        DigitsGraphs(split=split).setup()


def test_dictionary_is_the_papers():
    """Queries 0..k-1 see all keys k..2k-1; key i has value p(i), which is what query i must answer."""
    module = ready(DictionaryLookup(keys=4, graphs=1000, batch_size=6))
    graph = module.source.graphs[0]
    edges = graph.edge_index.T.tolist()
    assert edges == [[source, target] for source in range(4, 8) for target in range(4)]
    key, value = graph.x[:, :4], graph.x[:, 4:]
    assert torch.equal(key, torch.eye(4).repeat(2, 1)) and value.shape[1] == 5
    assert value[:4].argmax(1).tolist() == [4] * 4, "queries have no value"
    assert value[4:].argmax(1).tolist() == graph.labels[:4].tolist() and (graph.x.sum(1) == 2).all()
    every = torch.stack([graph.labels[:4] for graph in module.source.graphs])
    assert len(every.unique(dim=0)) == 24 and (every.sort(1).values == torch.arange(4)).all()
    batch = module.example("train")
    assert batch.rows["train"].tolist() == [8 * graph + query for graph in range(6) for query in range(4)]
    assert module.samples_per_step == 24 and module.spec.in_dim == 9 and not module.spec.graph_level


def test_dictionary_tests_on_pairs_that_training_never_shows():
    found = dictionary_lookup(10, 3000, 0.8, 0.1, 0)
    values = torch.stack([graph.labels[:10] for graph in found.graphs])
    assert len(values.unique(dim=0)) == len(values) > 2990, "a permutation drawn twice counts once"
    pairs = torch.arange(10) * 10 + values
    shown = torch.cat([pairs[found.splits["train"]], pairs[found.splits["val"]]]).unique()
    assert len(shown) == 97  # int(100 * 0.8 ** 0.1), as in the paper's code
    assert not torch.isin(pairs[found.splits["test"]], shown).all(1).any()
    assert 0.6 < len(found.splits["train"]) / 3000 < 0.85 and len(found.splits["val"]) > 200
    again = dictionary_lookup(10, 3000, 0.8, 0.1, 0)
    assert all(torch.equal(found.splits[part], again.splits[part]) for part in found.splits)
    assert torch.equal(again.graphs[7].x, found.graphs[7].x)


@pytest.mark.parametrize("options", [{"keys": 1}, {"graphs": 1}, {"train_fraction": 1.0}, {"val_fraction": 1.5}])
def test_dictionaries_that_cannot_be_are_refused(options):
    with pytest.raises(ZooError, match=r"data\.(keys|train_fraction)="):
        DictionaryLookup(**options).setup()
