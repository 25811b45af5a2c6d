"""PyG's own data sets, read offline from the data folder; PyG writes beside what it reads, so it works in the cache."""

import importlib.util
import logging
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from datamodules.files import caching, check_online, patience
from datamodules.graphs.collection import GraphCollection
from datamodules.graphs.rdf import environment, label_names
from datamodules.splits import STAGES, Splits, masks, per_class
from zoo.errors import NotAtHand, ZooError

log = logging.getLogger(__name__)
SearchPaths = tuple[Path, Path]
GEOM_GCN = ("out1_node_feature_label.txt", "out1_graph_edges.txt")


def planetoid(name: str, search_paths: SearchPaths) -> GraphCollection:
    """Cora, CiteSeer or PubMed with the public split."""
    from torch_geometric.datasets import Planetoid

    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = [f"ind.{name.lower()}.{part}" for part in parts]
    graph = opened("Planetoid", f"{name}/raw", files, lambda root: Planetoid(root, name), search_paths)[0]
    return node_level(graph, _masked(graph))


def citation_full(
    name: str, labels_per_class: int, val_nodes: int, seed: int, search_paths: SearchPaths
) -> GraphCollection:
    """A citation graph as Bojchevski and Günnemann published it; a seeded split, as it has none of its own."""
    from torch_geometric.datasets import CitationFull

    files = [f"{name}.npz"]
    graph = opened("CitationFull", f"{name}/raw", files, lambda root: CitationFull(root, name), search_paths)[0]
    return node_level(graph, per_class(graph.y, labels_per_class, val_nodes, seed))


def amazon(name: str, labels_per_class: int, val_nodes: int, seed: int, search_paths: SearchPaths) -> GraphCollection:
    """Goods that are bought together, as Shchur et al. published them; a seeded split, as in their paper."""
    from torch_geometric.datasets import Amazon

    files = [f"amazon_electronics_{name.lower()}.npz"]
    graph = opened("Amazon", f"{name}/raw", files, lambda root: Amazon(root, name), search_paths)[0]
    return node_level(graph, per_class(graph.y, labels_per_class, val_nodes, seed))


def actor(split_index: int, search_paths: SearchPaths) -> GraphCollection:
    """Actors named on the same page, with one of Geom-GCN's ten splits."""
    from torch_geometric.datasets import Actor

    files = [*GEOM_GCN, *(f"film_split_0.6_0.2_{i}.npz" for i in range(10))]
    graph = opened("Actor", "raw", files, lambda root: Actor(root), search_paths)[0]
    return node_level(graph, _masked(graph, split_index))


def webkb(name: str, split_index: int, search_paths: SearchPaths) -> GraphCollection:
    """The web pages of a university, with one of Geom-GCN's ten splits."""
    from torch_geometric.datasets import WebKB

    files = [*GEOM_GCN, *(f"{name.lower()}_split_0.6_0.2_{i}.npz" for i in range(10))]
    graph = opened("WebKB", f"{name.lower()}/raw", files, lambda root: WebKB(root, name), search_paths)[0]
    return node_level(graph, _masked(graph, split_index))


def ppi(search_paths: SearchPaths) -> GraphCollection:
    """24 tissues' protein graphs, each protein with any of 121 functions; 20 to train on, 2 to validate, 2 to test."""
    from torch_geometric.data import Data
    from torch_geometric.datasets import PPI

    if importlib.util.find_spec("networkx") is None:
        raise NotAtHand("data=ppi needs networkx, with which PyG reads its files; pip install networkx")
    kinds = ("feats.npy", "graph_id.npy", "graph.json", "labels.npy")
    files = [f"{split}_{kind}" for split in ("train", "valid", "test") for kind in kinds]
    sets = opened("PPI", "raw", files, lambda root: [PPI(root, split=stage) for stage in STAGES], search_paths)
    graphs: list[Any] = []
    splits: Splits = {}
    for stage, found in zip(STAGES, sets, strict=True):
        splits[stage] = torch.arange(len(graphs), len(graphs) + len(found))
        graphs += [Data(x=graph.x, edge_index=graph.edge_index, labels=graph.y) for graph in found]
    return GraphCollection(graphs, tuple(map(str, range(graphs[0].labels.shape[1]))), splits, multi_graph=True)


def aifb(search_paths: SearchPaths) -> GraphCollection:
    """The people, papers and projects of an institute as 90 kinds of edges; who belongs to which group?

    Nodes have no features, so x is their numbers. Names of nodes and classes are put in an order of their own: PyG
    takes both from Python sets, whose order differs from process to process (see datamodules/graphs/rdf.py).
    """
    from torch_geometric.data import Data
    from torch_geometric.datasets import Entities

    missing = [name for name in ("rdflib", "pandas") if importlib.util.find_spec(name) is None]
    if missing:
        raise NotAtHand(f'data=aifb needs {" and ".join(missing)} to read RDF; pip install -e ".[graph-rdf]"')

    def make(root: str) -> Entities:
        if not Path(root, "aifb", "processed", "data.pt").is_file():
            script = [sys.executable, "-P", str(Path(__file__).with_name("rdf.py")), root]
            done = subprocess.run(script, env=environment(), capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError((done.stderr.strip() or "no message").splitlines()[-1])
        return Entities(root, "AIFB")

    files = ["aifb_stripped.nt.gz", "completeDataset.tsv", "trainingSet.tsv", "testSet.tsv"]
    found = opened("Entities", "aifb/raw", files, make, search_paths)
    graph = found[0]
    given = label_names(Path(found.raw_dir, "trainingSet.tsv"))
    names = {int(label): name for label, name in zip(graph.train_y, given, strict=True)}
    classes = sorted(names.values())
    order = torch.tensor([classes.index(names[label]) for label in range(len(names))])
    labels = torch.zeros(graph.num_nodes, dtype=torch.int64)
    labels[graph.train_idx], labels[graph.test_idx] = order[graph.train_y], order[graph.test_y]
    splits = {"train": graph.train_idx, "val": graph.train_idx[:0], "test": graph.test_idx}
    x = torch.arange(graph.num_nodes)
    data = Data(x=x, edge_index=graph.edge_index, edge_type=graph.edge_type, labels=labels)
    return GraphCollection([data], tuple(name.rsplit("/", 1)[-1] for name in classes), splits, featureless=True)


def ogbn_arxiv(search_paths: SearchPaths) -> GraphCollection:
    """169,343 papers of arXiv's computer science, split by year; read by ogb."""
    if importlib.util.find_spec("ogb") is None:
        raise NotAtHand("data=ogbn_arxiv is read by ogb, which is not installed; pip install ogb")
    from ogb.nodeproppred import PygNodePropPredDataset
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage
    from torch_geometric.utils import to_undirected

    def make(root: str) -> Any:
        # ogb 1.3.6 loads what it saved as torch before 2.6 did; these are the classes in it.
        with torch.serialization.safe_globals([DataEdgeAttr, DataTensorAttr, GlobalStorage]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*not writable")  # nor does it write to pandas' arrays
            dataset = PygNodePropPredDataset("ogbn-arxiv", root)
            return dataset[0], dataset.get_idx_split()

    raw = ("edge", "node-feat", "node-label", "node_year", "num-node-list", "num-edge-list")
    files = [f"raw/{name}.csv.gz" for name in raw] + [
        f"split/time/{part}.csv.gz" for part in ("train", "valid", "test")
    ]
    files.append("RELEASE_v1.txt")  # without which ogb asks at the keyboard whether it shall update
    graph, split = opened(".", "ogbn_arxiv", files, make, search_paths)
    graph.edge_index, graph.y = to_undirected(graph.edge_index, num_nodes=graph.num_nodes), graph.y[:, 0]
    names = {"train": "train", "val": "valid", "test": "test"}
    return node_level(graph, {stage: split[name].clone() for stage, name in names.items()})


def node_level(graph: Any, splits: Splits, classes: Sequence[str] | None = None) -> GraphCollection:
    """One graph of PyG's (x, y, edge_index) as a set; classes that the files do not name are numbers."""
    from torch_geometric.data import Data

    names = classes or [str(label) for label in range(int(graph.y.max()) + 1)]
    return GraphCollection([Data(x=graph.x, edge_index=graph.edge_index, labels=graph.y)], tuple(names), splits)


def _masked(graph: Any, split: int | None = None) -> Splits:
    found = {stage: graph[f"{stage}_mask"] for stage in STAGES}
    if split is not None:
        count = found["train"].shape[1]
        if not 0 <= split < count:
            raise ZooError(f"data.split_index={split} is not one of the {count} splits; use 0 to {count - 1}.")
        found = {stage: mask[:, split] for stage, mask in found.items()}
    return masks(found, graph.num_nodes)


def opened(home: str, below: str, files: Sequence[str], make: Callable[[str], Any], search_paths: SearchPaths) -> Any:
    """What `make(root)` returns, where root is the set's own folder in the cache and holds copies of the raw files.

    PyG's processing happens in a folder beside, which takes its place when it is complete.

    Args:
        home: what PyG is given as root, within the data folder.
        below: where PyG looks for raw files in there.
        files: the raw files. If one is missing, PyG downloads them from the original source, into the cache.
    """
    where = Path(home, below)
    root = search_paths[1] / "graphs" / "-".join(part for part in where.parts if part != "raw")
    if not root.is_dir():
        folders = [place / where for place in search_paths]
        source = next((f for f in folders if all(Path(f, name).is_file() for name in files)), None)
        try:
            with caching(root) as beside:
                beside.mkdir()
                for name in files if source else ():
                    target = beside / below / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(Path(source or "", name), target)
                _process(make, beside, source, folders[0], files)
        except ZooError:
            if not root.is_dir():  # else another process was faster
                raise
    try:
        return make(str(root))
    except Exception as error:  # of parsers, pickles, archives
        raise ZooError(f"{root} cannot be read ({error}); remove it, and it is made again.") from error


def _process(make: Callable[[str], Any], root: Path, source: Path | None, place: Path, files: Sequence[str]) -> None:
    if not source:
        check_online(", ".join(files), str(place))
        log.info(f"{place} does not have all of {', '.join(files)}: downloading them from the original source")
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), patience():  # "Processing... Done!"
            make(str(root))
    except Exception as error:  # of parsers, pickles, archives, the network
        if source:
            raise ZooError(f"{source} cannot be read ({error}); replace the files that are damaged.") from error
        raise NotAtHand(
            f"{', '.join(files)} cannot be downloaded ({type(error).__name__}: {error}); put them in {place}, or set "
            "ZOO_DATA (paths.data) to a folder that has them."
        ) from error
