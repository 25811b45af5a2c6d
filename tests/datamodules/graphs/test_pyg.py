"""PyG's data sets: read from raw files, worked on in the cache, the source untouched; errors that say where files go.

Cora, CiteSeer and AIFB are the real ones where they are at hand; the others are tiny ones in their very formats.
"""

import gzip
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.graphs import AIFB, PPI, Actor, Amazon, CitationFull, OGBNArxiv, Planetoid, WebKB, pyg
from datamodules.graphs.rdf import name_blank_nodes
from zoo.errors import ZooError
from zoo.spec import GraphSpec, RelationalGraphSpec


@pytest.fixture
def places(tmp_path):
    """Where files are, and what may be written."""
    (tmp_path / "data").mkdir()
    return {"folder": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache for the tests here."""
    return str(tmp_path_factory.mktemp("cache"))


def ready(module):
    module.prepare_data()
    module.setup()
    return module


def listing(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in Path(folder).rglob("*"))


@pytest.mark.parametrize(
    "name, nodes, edges, features, classes, train",
    [("Cora", 2708, 10556, 1433, 7, 140), ("CiteSeer", 3327, 9104, 3703, 6, 120)],
)
def test_planetoid(shared, kept, name, nodes, edges, features, classes, train):
    before = listing(shared / "Planetoid")
    module = ready(Planetoid(name=name, folder=str(shared), cache=kept, row_normalise=True))
    assert listing(shared / "Planetoid") == before, "the source is never written to"
    graph = module.example()
    assert (graph.num_nodes, graph.num_edges) == (nodes, edges)
    assert module.spec == GraphSpec(in_dim=features, classes=module.classes) and len(module.classes) == classes
    assert (module.train_size, module.val_size, module.test_size) == (train, 500, 1000)
    assert graph.rows["train"].tolist() == list(range(train)) and len(module.classes) == classes
    assert graph.x.layout == torch.sparse_csr
    sums = graph.x.to_dense().sum(1)
    assert torch.allclose(sums[sums != 0], torch.ones(int((sums != 0).sum())), atol=1e-5)
    again = ready(Planetoid(name=name, folder="/nowhere", cache=kept)).example()
    assert torch.equal(again.edge_index, graph.edge_index), "the cache is enough"
    assert not list(Path(kept).rglob("*.part"))


@pytest.fixture
def aifb(shared, kept):
    if importlib.util.find_spec("rdflib") is None or importlib.util.find_spec("pandas") is None:
        pytest.skip('pip install -e ".[graph-rdf]"')
    return ready(AIFB(folder=str(shared), cache=kept))


def test_aifb(aifb, shared):
    graph = aifb.example()
    assert (graph.num_nodes, graph.num_edges) == (8285, 58086) and graph.x.tolist() == list(range(8285))
    assert graph.edge_type.shape == (58086,) and graph.edge_type.max() == 89
    assert (aifb.train_size, aifb.val_size, aifb.test_size) == (140, 0, 36) and aifb.val_dataloader() == []
    assert aifb.spec == RelationalGraphSpec(classes=aifb.classes, num_relations=90, num_nodes=8285, in_dim=8285)
    assert aifb.classes == tuple(f"id{number}instance" for number in (1, 2, 3, 4))
    table = (shared / "Entities/aifb/raw/trainingSet.tsv").read_text().splitlines()[1:]
    named = [aifb.classes[label] for label in graph.labels[aifb.source.splits["train"]]]
    assert named == [line.split("\t")[2].rsplit("/", 1)[-1] for line in table]
    # Of each relation 2r and its inverse 2r + 1 the edges are the same, turned round.
    for relation in (0, 30):
        there, back = (graph.edge_index[:, graph.edge_type == relation + inverse] for inverse in (0, 1))
        assert sorted(map(tuple, there.T.tolist())) == sorted(map(tuple, back.flip(0).T.tolist()))


@pytest.mark.slow
def test_aifb_is_the_same_in_every_cache(aifb, shared, tmp_path):
    """PyG's own numbers its nodes anew whenever it is processed."""
    again = ready(AIFB(folder=str(shared), cache=str(tmp_path))).example()
    graph = aifb.example()
    for key in ("edge_index", "edge_type", "labels"):
        assert torch.equal(graph[key], again[key])
    assert torch.equal(graph.rows["test"], again.rows["test"])


def test_blank_nodes_get_names(tmp_path):
    text = '_:a <http://p> _:b1 .\n<http://s> <http://p> "> _:c " .\n'
    (tmp_path / "g.nt.gz").write_bytes(gzip.compress(text.encode()))
    name_blank_nodes(tmp_path / "g.nt.gz")
    named = gzip.decompress((tmp_path / "g.nt.gz").read_bytes()).decode()
    assert named == '<blank:a> <http://p> <blank:b1> .\n<http://s> <http://p> "> _:c " .\n'


def test_aifb_without_its_extra(monkeypatch, places):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rdflib" else found(name))
    with pytest.raises(ZooError, match=r'data=aifb needs rdflib .*pip install -e "\.\[graph-rdf\]"'):
        AIFB(**places).setup()


def geom_gcn(folder, name, features, edges, labels):
    """The files of Geom-GCN: a table of nodes, one of edges, and ten splits."""
    folder.mkdir(parents=True)
    rows = [
        f"{i}\t{','.join(map(str, row))}\t{label}" for i, (row, label) in enumerate(zip(features, labels, strict=True))
    ]
    (folder / "out1_node_feature_label.txt").write_text("\n".join(["node_id\tfeature\tlabel", *rows]) + "\n")
    lines = ["node_id\tnode_id", *(f"{a}\t{b}" for a, b in edges)]
    (folder / "out1_graph_edges.txt").write_text("\n".join(lines) + "\n")
    for split in range(10):
        part = np.random.default_rng(split).permutation(len(labels)) % 5
        masks = {"train_mask": part < 3, "val_mask": part == 3, "test_mask": part == 4}
        np.savez(folder / f"{name}_split_0.6_0.2_{split}.npz", **{key: mask.astype(int) for key, mask in masks.items()})


def test_webkb(places):
    random = np.random.default_rng(0)
    features = random.integers(0, 2, (20, 6))
    geom_gcn(Path(places["folder"], "WebKB/texas/raw"), "texas", features, [(0, 1), (1, 2), (0, 1)], np.arange(20) % 5)
    module = ready(WebKB(name="Texas", split_index=3, **places))
    graph = module.example()
    assert torch.equal(graph.x, torch.from_numpy(features).float()) and graph.edge_index.tolist() == [[0, 1], [1, 2]]
    part = np.random.default_rng(3).permutation(20) % 5
    assert graph.rows["train"].tolist() == np.flatnonzero(part < 3).tolist() and module.test_size == 4
    assert len(module.spec.classes) == 5
    for split in (-1, 10):
        with pytest.raises(ZooError, match=f"data.split_index={split} is not one of the 10 splits; use 0 to 9"):
            WebKB(name="Texas", split_index=split, **places).setup()
    with pytest.raises(ZooError, match=r"data\.name=texas is unknown: did you mean 'Texas'"):
        WebKB(name="texas", **places).setup()


def test_actor(places):
    words = [[i % 7, (i + 2) % 7] for i in range(20)]
    geom_gcn(Path(places["folder"], "Actor/raw"), "film", words, [(3, 1), (0, 19)], np.arange(20) % 5)
    module = ready(Actor(**places))
    graph = module.example()
    assert graph.x.shape == (20, 7) and graph.x[3].nonzero()[:, 0].tolist() == [3, 5] and graph.num_edges == 2
    assert (module.train_size, module.val_size, module.test_size) == (12, 4, 4)


def sparse_npz(path, nodes=60, words=9, classes=3):
    """The format of Bojchevski's and Shchur's files: adjacency and attributes as the parts of sparse matrices."""
    from scipy.sparse import csr_matrix, random_array

    path.parent.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    adjacency = csr_matrix(random_array((nodes, nodes), density=0.1, rng=numbers))
    words = csr_matrix(random_array((nodes, words), density=0.5, rng=numbers))
    arrays = {}
    for key, matrix in (("adj", adjacency), ("attr", words)):
        for part in ("data", "indices", "indptr", "shape"):
            arrays[f"{key}_{part}"] = getattr(matrix, part)
    np.savez(path, labels=np.arange(nodes) % classes, **arrays)
    return adjacency


@pytest.mark.parametrize(
    "kind, name, file",
    [
        (CitationFull, "cora_ml", "CitationFull/cora_ml/raw/cora_ml.npz"),
        (Amazon, "Photo", "Amazon/Photo/raw/amazon_electronics_photo.npz"),
    ],
)
def test_sets_without_a_split(places, kind, name, file):
    adjacency = sparse_npz(Path(places["folder"], file))
    module = ready(kind(name=name, labels_per_class=5, val_nodes=12, **places))
    graph = module.example()
    tied = np.zeros((60, 60), dtype=bool)
    tied[tuple(graph.edge_index.numpy())] = True
    expected = (adjacency.toarray() != 0) | (adjacency.toarray() != 0).T
    assert (tied == (expected & ~np.eye(60, dtype=bool))).all()
    assert graph.labels[graph.rows["train"]].bincount().tolist() == [5, 5, 5]
    assert (module.val_size, module.test_size) == (12, 33)
    other = ready(kind(name=name, labels_per_class=5, val_nodes=12, split_seed=1, **places)).example()
    assert not torch.equal(other.rows["train"], graph.rows["train"])


def test_ppi(places):
    """Three files of graphs, told apart by graph_id; each protein with several labels."""
    folder = Path(places["folder"], "PPI/raw")
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for part, count in (("train", 3), ("valid", 2), ("test", 2)):
        size = 5 * count
        links = [{"source": 5 * g + i, "target": 5 * g + (i + 1) % 5} for g in range(count) for i in range(5)]
        nodes = [{"id": i} for i in range(size)]
        graph = {"directed": False, "multigraph": False, "graph": {}, "nodes": nodes, "links": links}
        (folder / f"{part}_graph.json").write_text(json.dumps(graph))
        np.save(folder / f"{part}_feats.npy", numbers.standard_normal((size, 50)))
        np.save(folder / f"{part}_labels.npy", numbers.integers(0, 2, (size, 121)))
        np.save(folder / f"{part}_graph_id.npy", np.repeat(np.arange(1, count + 1), 5))
    module = ready(PPI(**places))
    assert (module.train_size, module.val_size, module.test_size) == (3, 2, 2) and module.multilabel
    assert module.spec == GraphSpec(in_dim=50, classes=module.classes, targets="labels") and len(module.classes) == 121
    batch = module.example()
    assert batch.labels.shape == (10, 121) and batch.labels.is_floating_point() and batch.num_graphs == 2
    assert batch.rows["test"].tolist() == list(range(10)) and batch.edge_index.shape == (2, 20)
    assert torch.equal(batch.labels, torch.from_numpy(np.load(folder / "test_labels.npy")).float())
    assert module.samples_per_step == 10, "scored nodes of two graphs"


def test_ogbn_arxiv_without_ogb(monkeypatch, places):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ogb" else found(name))
    with pytest.raises(ZooError, match="read by ogb, which is not installed; pip install ogb"):
        OGBNArxiv(**places).setup()


def test_ogbn_arxiv(places):
    """The files as ogb stores them, few of them."""
    pytest.importorskip("ogb")
    folder = Path(places["folder"], "ogbn_arxiv")
    numbers = np.random.default_rng(0)
    x, edges = numbers.standard_normal((12, 4)).round(3), np.stack([np.arange(11), np.arange(1, 12)], 1)
    tables = {
        "edge": edges,
        "node-feat": x,
        "node-label": np.arange(12)[:, None] % 3,
        "node_year": np.full((12, 1), 2017),
    }
    tables |= {"num-node-list": np.array([[12]]), "num-edge-list": np.array([[11]])}
    files = {f"raw/{name}": table for name, table in tables.items()}
    for part, rows in (("train", range(6)), ("valid", range(6, 9)), ("test", range(9, 12))):
        files[f"split/time/{part}"] = np.array(rows)[:, None]
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(",".join(map(str, row)) + "\n" for row in table.tolist())
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "RELEASE_v1.txt").touch()
    module = ready(OGBNArxiv(**places))
    graph = module.example()
    assert torch.allclose(graph.x, torch.from_numpy(x).float()) and graph.num_edges == 22
    assert graph.rows["val"].tolist() == [6, 7, 8] and graph.labels.tolist() == [i % 3 for i in range(12)]


def test_a_failed_download_says_where_the_files_go(monkeypatch, places):
    from torch_geometric.datasets import CitationFull as Original

    def offline(self):
        raise OSError("no network here")

    monkeypatch.setattr(Original, "download", offline)
    where = Path(places["folder"], "CitationFull/cora_ml/raw")
    with pytest.raises(
        ZooError, match=rf"cora_ml.npz cannot be downloaded \(OSError: no network here\); put .* {where}"
    ):
        CitationFull(**places).setup()
    assert listing(places["folder"]) == [] and not list(Path(places["cache"]).rglob("*.npz"))


def test_downloads_go_to_the_cache(monkeypatch, places):
    from torch_geometric.datasets import CitationFull as Original

    monkeypatch.setattr(Original, "download", lambda self: sparse_npz_at(Path(self.raw_paths[0])))

    def sparse_npz_at(path):
        path.parent.rmdir()  # PyG made it
        sparse_npz(path)

    options = dict(labels_per_class=5, val_nodes=12, **places)
    assert ready(CitationFull(**options)).test_size == 33
    monkeypatch.setattr(Original, "download", None)
    assert ready(CitationFull(**options)).test_size == 33 and listing(places["folder"]) == []


def test_damaged_files_are_named(shared, places):
    where = Path(places["folder"], "Planetoid/Cora/raw")
    shutil.copytree(shared / "Planetoid/Cora/raw", where)
    (where / "ind.cora.tx").write_bytes(b"broken")
    with pytest.raises(ZooError, match=rf"{where} cannot be read .*damaged"):
        Planetoid(**places).setup()
    assert not Path(places["cache"], "graphs", "Planetoid-Cora").exists(), "nothing half done stays"
    shutil.copyfile(shared / "Planetoid/Cora/raw/ind.cora.tx", where / "ind.cora.tx")
    assert ready(Planetoid(**places)).train_size == 140


def test_a_damaged_cache_is_named(shared, places):
    ready(Planetoid(folder=str(shared), cache=places["cache"]))
    root = Path(places["cache"], "graphs", "Planetoid-Cora")
    (root / "Cora/processed/data.pt").write_bytes(b"broken")
    with pytest.raises(ZooError, match=rf"{root} cannot be read .*remove it"):
        Planetoid(folder=str(shared), cache=places["cache"]).setup()


def test_a_cache_that_cannot_be_written(shared, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match="cannot be written"):
        Planetoid(folder=str(shared), cache=str(tmp_path / "file")).setup()


def test_the_script_stands_alone():
    """It is started with a hash seed of its own, perhaps from anywhere."""
    script = Path(pyg.__file__).with_name("rdf.py")
    done = subprocess.run([sys.executable, "-P", str(script)], capture_output=True, text=True, cwd="/")
    assert "IndexError" in done.stderr and "ModuleNotFoundError" not in done.stderr
