"""What all sets of graphs share: checks, features, positions, batches. A set says only how it is loaded."""

import warnings
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules import node2vec
from datamodules.graph_checks import check, known
from datamodules.graph_loaders import Full, Sampled, Whole
from datamodules.graph_positions import add_positions, check_wanted
from datamodules.graph_pyg import normalised
from datamodules.graph_sets import Graphs
from datamodules.graph_splits import STAGES
from datamodules.neighbors import sampler
from datamodules.sampling import EvalBatches, Loader, TrainBatches, TrainLoader
from zoo.errors import ZooError
from zoo.spec import GraphSpec, HeterogeneousGraphSpec, RelationalGraphSpec

NAMES = {"train": "training", "val": "validation", "test": "test"}
SPARSE = 0.1  # share of entries that are not 0, below which features are kept as sparse


@dataclass(kw_only=True, eq=False, repr=False)
class GraphData(LightningDataModule):
    """loader: full (the graph in every step), or neighbor (batch_size nodes with num_neighbors sampled ones, over all
    processes). Sets of many graphs: batch_size whole graphs over all processes. split_seed: the parts; seed: order and
    neighbours. row_normalise: features of a node add up to 1. sparse_features: auto, true or false. features: null, or
    node2vec, or both. positions: null, {laplacian: k}, {random_walk: k}, {shortest_path: largest}. folder: where the
    files are; cache: what may be written."""

    loader: str = "full"
    batch_size: int = 64
    num_neighbors: list[int] = field(default_factory=lambda: [15, 10])
    num_workers: int = 0
    seed: int = 0
    split_seed: int = 0
    row_normalise: bool = False
    sparse_features: bool | str = "auto"
    features: str | None = None
    node2vec: dict[str, Any] | None = None
    positions: dict[str, int] | None = None
    folder: str = "~/.cache/attention-zoo"
    cache: str = "~/.cache/attention-zoo"

    modality = "graph"
    found: Graphs | None = field(default=None, init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self):
        super().__init__()
        known(self.loader, "loader", ["full", "neighbor"])
        known(self.features, "features", [None, "node2vec", "both"])
        known(self.sparse_features, "sparse_features", ["auto", True, False])
        if self.batch_size < 1:
            raise ZooError(f"data.batch_size={self.batch_size} is not a number of nodes or graphs; give 1 or more.")
        if self.sparse_features is True and self.loader == "neighbor":
            raise ZooError("data.sparse_features=true is for full graphs: rows of sampled nodes are dense; use auto.")
        node2vec.settings(self.node2vec)
        self._batch = self.batch_size  # what a batch is made of; `batch_size` becomes what is scored in a step
        self._wanted = dict(self.positions or {})

    def load(self) -> Graphs:
        """The set; each one's own part."""
        raise NotImplementedError

    @property
    def places(self) -> tuple[Path, Path]:
        """Where files are looked for: the user's folder, then the cache, the only one written to."""
        return Path(self.folder).expanduser(), Path(self.cache).expanduser()

    def use_positions(self, wanted: dict[str, int]) -> None:
        """What the model's position needs, to be said before `setup`: {"laplacian": 8}; see `positions`."""
        if self.found is not None and wanted.keys() - self._wanted.keys():
            raise RuntimeError("call use_positions() before setup()")
        self._wanted |= wanted

    def use_preprocess(self, preprocess: Any) -> None:
        """Nothing: graphs are fed as they are."""

    # -- parts -------------------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download, process and learn node2vec, which Lightning lets one process do before the others look."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load, check and prepare, once."""
        if self.found is not None:
            return
        found = self.load()
        if found.whole and self.loader != "full":
            raise ZooError(
                f"data.loader={self.loader} samples one large graph; this set has many, use data.loader=full."
            )
        check(found)
        self._features(found)
        check_wanted(self._wanted, many=found.whole or self.loader != "full")
        if self._wanted and found.target:
            raise ZooError(
                f"positions ({', '.join(self._wanted)}) are for graphs with one type of node; leave them out."
            )
        if self._wanted:
            add_positions(found.graphs, self._wanted)
        self.found = found
        self.batch_size = self._scored()

    def _features(self, found: Graphs) -> None:
        """Normalise, learn, and store as sparse what is asked for."""
        stores = [store for graph in found.graphs for store in graph.node_stores if store.x.dim() == 2]
        if self.row_normalise:
            for store in stores:
                store.x = normalised(store.x)
        if self.features:
            self._learn(found)
            stores = list(found.first.node_stores)
        for store in stores:
            store.x = self._stored(store.x, found.whole)

    def _learn(self, found: Graphs) -> None:
        if found.whole or found.target:
            raise ZooError(f"data.features={self.features} is for one graph with one type of node; leave it out.")
        if self.features == "both" and found.ids:
            raise ZooError("data.features=both joins node2vec to features, and nodes here have none; use node2vec.")
        graph, chosen = found.first, node2vec.settings(self.node2vec)
        learned = node2vec.features(graph.edge_index, graph.num_nodes, chosen, self.split_seed, self.places[1])
        graph.x = torch.cat([graph.x, learned], 1) if self.features == "both" else learned
        found.ids = False

    def _stored(self, x: Tensor, whole: bool) -> Tensor:
        sparse = self.sparse_features
        if sparse == "auto":
            sparse = not whole and self.loader == "full" and int((x != 0).sum()) < SPARSE * x.numel()
        if not sparse:
            return x
        if whole:
            raise ZooError("data.sparse_features=true is for one full graph; this set has many, use auto.")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # torch says so once a process
            return x.to_sparse_csr()

    def _found(self) -> Graphs:
        if self.found is None:
            raise RuntimeError(f"call {type(self).__name__}.setup() first")
        return self.found

    def _scored(self) -> int:
        """Rows that are scored in a training step, over all processes: for the stopwatch."""
        found = self._found()
        if not found.whole:
            return self.train_size if self.loader == "full" else min(self._batch, self.train_size)
        rows = [len(g.labels) if g.get("scored") is None else int(g.scored.sum()) for g in self._graphs("train")]
        return round(min(self._batch, len(rows)) * sum(rows) / len(rows))

    def _graphs(self, stage: str) -> list[Any]:
        found = self._found()
        return [found.graphs[row] for row in found.parts[stage].tolist()]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in order of label."""
        return self._found().classes

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several classes at once; labels are [rows, C] float then."""
        return self._found().multilabel

    @property
    def train_size(self) -> int:
        """Number of training nodes, or graphs of a set of many."""
        return len(self._found().parts["train"])

    @property
    def val_size(self) -> int:
        """Number of validation nodes or graphs."""
        return len(self._found().parts["val"])

    @property
    def test_size(self) -> int:
        """Number of test nodes or graphs."""
        return len(self._found().parts["test"])

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the data can be read as; known before anything is loaded."""
        return (self.modality,)

    @property
    def spec(self) -> GraphSpec:
        """What a model must fit, once the data is set up."""
        found = self._found()
        graph = found.first
        several = "labels" if found.multilabel else "class"
        common: dict[str, Any] = {"classes": found.classes, "targets": several, "graph_level": found.graph_level}
        if found.target:
            metadata = {
                "target": found.target,
                "metapaths": [list(path) for path in found.metapaths],
                "in_dims": {kind: _width(graph[kind].x) for kind in graph.node_types},
                "num_nodes": {kind: graph[kind].num_nodes for kind in graph.node_types},
                "ids": [kind for kind in graph.node_types if graph[kind].x.dim() == 1],
                "node_types": list(graph.node_types),
                "edge_types": [list(edge) for edge in graph.edge_types],
            }
            return HeterogeneousGraphSpec(in_dim=metadata["in_dims"][found.target], metadata=metadata, **common)
        edge_attr, edge_type = graph.get("edge_attr"), graph.get("edge_type")
        common |= {"in_dim": _width(graph.x), "num_nodes": graph.num_nodes if found.ids else None}
        common |= {"edge_dim": 0 if edge_attr is None else edge_attr.shape[1]}
        if edge_type is None:
            return GraphSpec(**common)
        return RelationalGraphSpec(num_relations=int(edge_type.max()) + 1, **common)

    # -- batches -----------------------------------------------------------------------------------------------------

    def _world(self) -> tuple[int, int]:
        """(rank, number of processes)."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _divides(self, world: int) -> None:
        if self._full:
            size, hint = (
                self.train_size,
                "all training nodes make one step of data.loader=full; use data.loader=neighbor",
            )
        else:
            size, hint = (
                self._batch,
                f"data.batch_size is over all processes; try {max(1, self._batch // world) * world}",
            )
        if size % world:
            raise ZooError(f"a batch of {size} does not divide by {world} processes: {hint}.")

    @property
    def _full(self) -> bool:
        return self.loader == "full" and not self._found().whole

    def _loader(self, stage: str) -> Any:
        found, (rank, world) = self._found(), self._world()
        if stage == "train" or not self._full:
            self._divides(world)
        size = len(found.parts[stage])
        if not size:
            return []
        if size < world:
            what = "graphs" if found.whole else "nodes"
            raise ZooError(
                f"the {NAMES[stage]} set has {size} {what} for {world} processes; use at most {size} devices."
            )
        if self._full:
            graph = found.first
            graph.rows = {part: rows[rank::world] for part, rows in found.parts.items()}
            return Full(graph)
        data: Whole | Sampled
        if found.whole:
            data = Whole(found.graphs, found.parts[stage], stage)
        else:
            data = Sampled(sampler(found.first, self.num_neighbors, found.target), found.parts[stage], stage, self.seed)
        if self.num_workers == 0:
            # Lightning advises workers whatever the data; for small graphs in memory they only add copying.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
        if stage != "train":
            return Loader(data, EvalBatches(size, self._batch, rank, world), self.num_workers)
        # Lightning's overfit_batches takes the first batches of each epoch: they must be the same ones.
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        batches = TrainBatches(size, self._batch, self.seed, rank, world, shuffle=not overfit)
        return TrainLoader(data, batches, self.num_workers)

    def train_dataloader(self) -> Any:
        """The full graph, or batches whose order and neighbours depend on (seed, epoch)."""
        return self._loader("train")

    def val_dataloader(self) -> Any:
        """Each validation row once; nothing where the set has none."""
        return self._loader("val")

    def test_dataloader(self) -> Any:
        """Each test row once."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Floats in the type of the model's: Lightning converts those of tuples and dictionaries, not a graph's."""
        model = self.trainer.lightning_module if self.trainer else None
        dtype = next((p.dtype for p in model.parameters()), torch.float32) if model else torch.float32

        def converted(x: Any) -> Any:
            return x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x

        return copy(batch).apply(converted)  # of a copy: the full graph is the same object in every step

    def example(self, stage: str = "test") -> Any:
        """What figures are drawn from: the full graph, or the first batch of the stage."""
        known(stage, "example", STAGES)
        return next(iter(self._loader(stage)))

    def describe(self) -> str:
        """One line: what is trained and tested on."""
        found = self._found()
        sizes = f"{self.train_size} training, {self.val_size} validation and {self.test_size} test"
        nodes = sum(graph.num_nodes for graph in found.graphs)
        edges = sum(graph.num_edges for graph in found.graphs)
        what = f"graphs of {nodes / len(found.graphs):.0f} nodes" if found.whole else f"nodes of {nodes:,}"
        each = " each" if found.whole else ""
        edges = round(edges / len(found.graphs))
        return f"{type(self).__name__}: {sizes} {what}, {edges:,} edges{each}, {len(found.classes)} classes"


def _width(x: Tensor) -> int:
    """The number of features; of nodes that are only numbered, the width of their one-hot form."""
    return x.shape[1] if x.dim() == 2 else len(x)
