"""HeCo's ACM: the tables say what the files do."""

import shutil

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from datamodules.graphs import ACM
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def acm(request):
    shared = request.getfixturevalue("shared")
    module = ACM(folder=str(shared))
    module.setup()
    return module


def test_types_and_sizes(acm):
    graph = acm.example()
    assert {kind: graph[kind].num_nodes for kind in graph.node_types} == {"paper": 4019, "author": 7167, "subject": 60}
    counts = {edge[1] if edge[1] != "to" else edge[::2]: graph[edge].num_edges for edge in graph.edge_types}
    both = {
        ("paper", "author"): 13407,
        ("author", "paper"): 13407,
        ("paper", "subject"): 4019,
        ("subject", "paper"): 4019,
    }
    assert counts == {**both, "pap": 57853, "psp": 4338213}
    spec, facts = acm.spec, acm.spec.sizes()
    assert facts["metadata"]["target"] == "paper" and facts["in_dim"] == 1902 and len(spec.classes) == 3
    assert facts["metadata"]["metapaths"] == [["paper", "pap", "paper"], ["paper", "psp", "paper"]]
    assert facts["metadata"]["in_dims"] == {"paper": 1902, "author": 1902, "subject": 60}
    assert facts["metadata"]["ids"] == ["subject"] and graph["subject"].x.tolist() == list(range(60))
    assert graph["paper"].x.layout == torch.sparse_csr
    sums = graph["author"].x.to_dense().sum(1)
    assert torch.allclose(sums, torch.ones(7167), atol=1e-5)


def test_paths_are_what_their_names_say(acm):
    """pap and psp: papers that share an author, a subject (each with itself)."""
    graph = acm.example()
    for path, other in (("pap", "author"), ("psp", "subject")):
        ends = graph["paper", "to", other].edge_index.numpy()
        has = csr_array((np.ones(ends.shape[1]), ends), shape=(4019, graph[other].num_nodes))
        linked = graph["paper", path, "paper"].edge_index.numpy()
        found = csr_array((np.ones(linked.shape[1]), linked), shape=(4019, 4019))
        assert ((has @ has.T > 0) != (found > 0)).nnz == 0


@pytest.mark.parametrize("labels", [20, 40, 60])
def test_splits(shared, labels):
    module = ACM(folder=str(shared), labels_per_class=labels)
    module.setup()
    graph = module.example()
    assert graph.labels[graph.rows["train"]].bincount().tolist() == [labels] * 3
    assert (module.val_size, module.test_size) == (1000, 1000) and module.samples_per_step == 3 * labels
    assert graph.rows["test"].tolist() == np.load(shared / f"HeCo-ACM/test_{labels}.npy").tolist()
    assert graph.labels.bincount().tolist() == [1993, 965, 1061]


def test_neighbours_of_several_types(shared):
    """D7: heterographs too."""
    module = ACM(folder=str(shared), loader="neighbor", batch_size=20, num_neighbors=[3, 2])
    module.setup()
    batches = list(module.train_dataloader())
    assert len(batches) == 3
    seeds = torch.cat([batch["paper"].n_id[: batch["paper"].batch_size] for batch in batches])
    assert seeds.sort().values.tolist() == module.source.splits["train"].sort().values.tolist()
    first, graph = batches[0], module.source.first
    assert first.rows["train"].tolist() == list(range(20)) and len(first.labels) == first["paper"].num_nodes
    for edge in graph.edge_types:
        ends = [first[kind].n_id[row] for kind, row in zip(edge[::2], first[edge].edge_index, strict=True)]
        assert torch.equal(torch.stack(ends), graph[edge].edge_index[:, first[edge].e_id])


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"labels_per_class": 30}, "labels_per_class=30 is not a split of HeCo-ACM; use 20, 40 or 60"),
        ({"positions": {"laplacian": 2}}, r"positions \(laplacian\) are for graphs with one type of node"),
        ({"features": "node2vec"}, "is for one graph with one type of node"),
    ],
)
def test_what_it_cannot_do(shared, options, sentence):
    with pytest.raises(ZooError, match=sentence):
        ACM(folder=str(shared), **options).setup()


def test_missing_and_damaged_files_are_named(shared, tmp_path):
    with pytest.raises(ZooError, match=rf"{tmp_path}/HeCo-ACM lacks p_feat.npz.*github.com/liun-online/HeCo"):
        ACM(folder=str(tmp_path), cache=str(tmp_path)).setup()
    shutil.copytree(shared / "HeCo-ACM", tmp_path / "HeCo-ACM")
    (tmp_path / "HeCo-ACM/pap.npz").write_bytes(b"broken")
    with pytest.raises(ZooError, match=r"pap.npz cannot be read .*replace it"):
        ACM(folder=str(tmp_path)).setup()
