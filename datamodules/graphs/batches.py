"""Batches of graphs: the one full graph each time, whole graphs joined by PyG, or nodes with sampled neighbours."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sampling import BatchIndex, generator
from datamodules.splits import STAGES
from zoo.attention import Edges


class FullGraphLoader:
    """A loader of one batch, the very same object each epoch, with `edges` that models sort once: the graph stays as it is."""

    batch_size = 1

    def __init__(self, graph: Any):
        self.graph = graph

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        for store in self.graph.edge_stores:
            edges = store.get("edges")
            if edges is None or edges.edge_index is not store.edge_index:  # the batch was moved to another device
                one_type = store._key is None or store._key[0] == store._key[2]
                store.edges = Edges(store.edge_index, store.size(0) if one_type else store.size())
        yield self.graph


class GraphDataset(Dataset):
    """Graphs joined to one (PyG's `Batch`), with `rows` = {stage: the rows that are scored}."""

    def __init__(self, graphs: Sequence[Any], rows: Tensor, stage: str):
        self.graphs, self.rows, self.stage = graphs, rows, stage

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, draw: BatchIndex) -> Any:
        """One batch; see `datamodules.sampling`."""
        from torch_geometric.data import Batch

        batch = Batch.from_data_list([self.graphs[row] for row in self.rows[draw.rows].tolist()])
        scored = batch.get("scored")
        rows = torch.arange(len(batch.labels)) if scored is None else scored.nonzero()[:, 0]
        batch.rows = {self.stage: rows}
        return batch


class NeighborDataset(Dataset):
    """Nodes of one graph, the seeds, with neighbours that depend on (seed, epoch, stage, first seed of the batch).

    Of one epoch's batches no two have the same first seed, so that is (seed, epoch, rank, batch) in fewer words.
    """

    def __init__(self, sample: Callable[[Tensor, torch.Generator], Any], rows: Tensor, stage: str, seed: int):
        self.sample, self.rows, self.stage, self.seed = sample, rows, stage, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, draw: BatchIndex) -> Any:
        """One batch, its seeds first; see `datamodules.sampling`."""
        seeds = self.rows[draw.rows]
        numbers = generator(self.seed, draw.epoch, STAGES.index(self.stage), int(seeds[0]))
        batch = self.sample(seeds, numbers)
        batch.rows = {self.stage: torch.arange(len(seeds))}
        return batch
