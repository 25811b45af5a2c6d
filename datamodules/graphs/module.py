"""What all sets of graphs share: checks, features, positions, batches. A set says only how it is loaded."""

import warnings
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import DataModule, one_of
from datamodules.graphs import node2vec
from datamodules.graphs.batches import FullGraphLoader, GraphDataset, NeighborDataset
from datamodules.graphs.checks import check
from datamodules.graphs.collection import GraphCollection
from datamodules.graphs.neighbors import sampler
from datamodules.splits import STAGES
from zoo.errors import ZooError
from zoo.graphs import GraphPreprocess, add_positions, check_wanted, normalised
from zoo.spec import GraphSpec, HeterogeneousGraphSpec, RelationalGraphSpec

SPARSE = 0.1  # share of entries that are not 0, below which features are kept as sparse


@dataclass(kw_only=True, eq=False, repr=False)
class GraphData(DataModule):
    """Batches of PyTorch Geometric's `Data` with `labels` and `rows`; `load` gives a `GraphCollection`.

    Args:
        loader: full (the graph in every step), or neighbor (`batch_size` nodes with sampled ones around them).
        batch_size: nodes of loader=neighbor, or graphs of a set of many; over all processes.
        num_neighbors: how many are drawn for each node at each step away from the batch; -1: all.
        row_normalise: features of a node add up to 1; None: as a pretrained model's did, if one is handed over, else not.
        sparse_features: auto, true or false.
        features: None, or node2vec in their place, or both beside each other.
        node2vec: its settings, see `datamodules.graphs.node2vec.Settings`.
        positions: None, {laplacian: k}, {random_walk: k} or {shortest_path: largest}.
        num_workers, seed, split_seed, folder, cache: see `DataModule`.
    """

    loader: str = "full"
    num_neighbors: list[int] = field(default_factory=lambda: [15, 10])
    row_normalise: bool | None = None
    sparse_features: bool | str = "auto"
    features: str | None = None
    node2vec: dict[str, Any] | None = None
    positions: dict[str, int] | None = None

    modality = "graph"
    samples = "nodes or graphs"
    source: GraphCollection | None = field(default=None, init=False)
    handed: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self):
        super().__post_init__()
        one_of(self.loader, "loader", ["full", "neighbor"])
        one_of(self.features, "features", [None, "node2vec", "both"])
        one_of(self.sparse_features, "sparse_features", ["auto", True, False])
        if self.sparse_features is True and self.loader == "neighbor":
            raise ZooError("data.sparse_features=true is for full graphs: rows of sampled nodes are dense; use auto.")
        node2vec.settings(self.node2vec)
        self._wanted = dict(self.positions or {})
        self._share: tuple[tuple[int, int], Any] | None = None

    def use_positions(self, wanted: dict[str, int]) -> None:
        """What the model's position needs, to be said before `setup`: {"laplacian": 8}; see `positions`."""
        if self.source is not None and wanted.keys() - self._wanted.keys():
            raise RuntimeError("call use_positions() before setup()")
        self._wanted |= wanted

    def use_preprocess(self, preprocess: dict[str, Any]) -> None:
        """Feed a pretrained model as it was trained; to be said before `setup`."""
        self.handed = dict(preprocess)

    # -- preparation -------------------------------------------------------------------------------------------------

    def finish(self, source: GraphCollection) -> GraphCollection:
        """Check the graphs; prepare features and positions."""
        if source.multi_graph and self.loader != "full":
            raise ZooError(
                f"data.loader={self.loader} samples one large graph; this set has many, use data.loader=full."
            )
        check(source)
        self.samples = "graphs" if source.multi_graph else "nodes"
        self._features(source)
        check_wanted(self._wanted, many=source.multi_graph or self.loader != "full")
        if self._wanted and source.target:
            raise ZooError(
                f"positions ({', '.join(self._wanted)}) are for graphs with one type of node; leave them out."
            )
        if self._wanted:
            add_positions(source.graphs, self._wanted)
        return source

    def _features(self, found: GraphCollection) -> None:
        """Normalise, learn, and store as sparse what is asked for."""
        stores = [store for graph in found.graphs for store in graph.node_stores if store.x.dim() == 2]
        if self.normalises:
            for store in stores:
                store.x = normalised(store.x)
        if self.features:
            self._learn(found)
            stores = list(found.first.node_stores)
        for store in stores:
            store.x = self._stored(store.x, found.multi_graph)

    def _learn(self, found: GraphCollection) -> None:
        if found.multi_graph or found.target:
            raise ZooError(f"data.features={self.features} is for one graph with one type of node; leave it out.")
        if self.features == "both" and found.featureless:
            raise ZooError("data.features=both joins node2vec to features, and nodes here have none; use node2vec.")
        graph, chosen = found.first, node2vec.settings(self.node2vec)
        learned = node2vec.features(graph.edge_index, graph.num_nodes, chosen, self.split_seed, self.search_paths[1])
        graph.x = torch.cat([graph.x, learned], 1) if self.features == "both" else learned
        found.featureless = False

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

    @property
    def normalises(self) -> bool:
        """Whether features of a node add up to 1."""
        return bool(self.handed.get("row_normalise") if self.row_normalise is None else self.row_normalise)

    # -- what they are -----------------------------------------------------------------------------------------------

    @property
    def samples_per_step(self) -> int:
        """Rows that are scored in a training step, over all processes."""
        source = self.loaded()
        if self._full:
            return self.train_size
        if not source.multi_graph:
            return super().samples_per_step
        graphs = [source.graphs[row] for row in self.rows("train").tolist()]
        rows = [len(g.labels) if g.get("scored") is None else int(g.scored.sum()) for g in graphs]
        return round(min(self.batch_size, len(rows)) * sum(rows) / len(rows))

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several classes at once; labels are [rows, C] float then."""
        return self.loaded().multilabel

    @property
    def spec(self) -> GraphSpec:
        source = self.loaded()
        graph = source.first
        done: dict[str, Any] = {
            "row_normalise": self.normalises,
            "features": self.features,
            "positions": dict(self._wanted),
        }
        common: dict[str, Any] = {
            "classes": source.classes,
            "targets": source.targets,
            "graph_level": source.graph_level,
        }
        if source.targets == "numbers":
            common["num_targets"] = graph.labels.shape[1]
        if source.target:
            metadata = {
                "target": source.target,
                "metapaths": [list(path) for path in source.metapaths],
                "in_dims": {kind: _width(graph[kind].x) for kind in graph.node_types},
                "num_nodes": {kind: graph[kind].num_nodes for kind in graph.node_types},
                "ids": [kind for kind in graph.node_types if graph[kind].x.dim() == 1],
                "node_types": list(graph.node_types),
                "edge_types": [list(edge) for edge in graph.edge_types],
            }
            width = metadata["in_dims"][source.target]
            prepared = GraphPreprocess(in_dim=width, **done)
            return HeterogeneousGraphSpec(in_dim=width, metadata=metadata, preprocess=prepared, **common)
        edge_attr, edge_type = graph.get("edge_attr"), graph.get("edge_type")
        sizes: dict[str, Any] = {
            "in_dim": _width(graph.x),
            "num_nodes": graph.num_nodes if source.featureless else None,
        }
        sizes |= {"edge_dim": 0 if edge_attr is None else edge_attr.shape[1]}
        if edge_type is None:
            return GraphSpec(**common, **sizes, preprocess=GraphPreprocess(**sizes, **done))
        sizes |= {"num_relations": int(edge_type.max()) + 1}
        return RelationalGraphSpec(**common, **sizes, preprocess=GraphPreprocess(**sizes, **done))

    # -- batches -----------------------------------------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        """Whether a step is the one graph as a whole."""
        return self.loader == "full" and not (self.source and self.source.multi_graph)

    def _check_world(self) -> None:
        if not self._full:
            super()._check_world()

    def dataset(self, stage: str) -> Dataset:
        """Whole graphs of a set of many, else nodes with sampled neighbours."""
        source, rows = self.loaded(), self.rows(stage)
        if source.multi_graph:
            return GraphDataset(source.graphs, rows, stage)
        return NeighborDataset(sampler(source.first, self.num_neighbors, source.target), rows, stage, self.seed)

    def batches(self, stage: str) -> Any:
        """The full graph, or batches of "train", "val" or "test" for this process."""
        if not self._full or not len(self.rows(stage)):
            return super().batches(stage)
        self._check_size(stage)
        if stage == "train" and self.train_size % (world := self.world[1]):
            raise ZooError(
                f"a batch of {self.train_size} does not divide by {world} processes: all training nodes make one step of "
                "data.loader=full; use data.loader=neighbor."
            )
        return FullGraphLoader(self._shared())

    def _shared(self) -> Any:
        """The graph with this process's share of the rows: one object, so that what is made of it once stays."""
        if self._share is None or self._share[0] != self.world:
            graph, (rank, world) = copy(self.loaded().first), self.world
            graph.rows = {stage: rows[rank::world] for stage, rows in self.loaded().splits.items()}
            self._share = self.world, graph
        return self._share[1]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Floats in the type of the model's: Lightning converts those of tuples and dictionaries, not a graph's."""
        model = self.trainer.lightning_module if self.trainer else None
        dtype = next((p.dtype for p in model.parameters()), torch.float32) if model else torch.float32

        def converted(x: Any) -> Any:
            return x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x

        return copy(batch).apply(converted)  # of a copy: the full graph is the same object in every step

    def identity(self, stage: str) -> list[Tensor]:
        source, rows = self.loaded(), self.rows(stage)
        if source.targets == "numbers":
            return [rows]
        asked = (
            [source.graphs[row].labels for row in rows.tolist()] if source.multi_graph else [source.first.labels[rows]]
        )
        return [rows, *(labels.long() for labels in asked)]

    @property
    def tokens_per_step(self) -> int:
        return int(self.example("train").num_nodes)

    def example(self, stage: str = "test") -> Any:
        """What figures are drawn from: the full graph, or the first batch of the stage."""
        one_of(stage, "example", STAGES)
        return next(iter(self.batches(stage)))

    def describe(self) -> str:
        graphs = self.loaded().graphs
        nodes, edges = sum(graph.num_nodes for graph in graphs), sum(graph.num_edges for graph in graphs)
        many = self.loaded().multi_graph
        size = f"of {nodes / len(graphs):.0f} nodes" if many else f"of {nodes:,}"
        per_graph = f"{round(edges / len(graphs)):,} edges{' each' if many else ''}"
        return f"{super().describe()} {size}, {per_graph}, {len(self.classes)} classes"


def _width(x: Tensor) -> int:
    """The number of features; of nodes that are only numbered, the width of their one-hot form."""
    return x.shape[1] if x.dim() == 2 else len(x)
