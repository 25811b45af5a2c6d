"""Batches of graphs: the one full graph each time, whole graphs joined by PyG, or nodes with sampled neighbours."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.graph_splits import STAGES
from datamodules.sampling import Draw, generator


class Full:
    """A loader of one batch, the very same object each epoch: what is sorted for it once stays sorted."""

    batch_size = 1

    def __init__(self, graph: Any):
        self.graph = graph

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield self.graph


class Whole(Dataset):
    """Graphs joined to one (PyG's `Batch`), with `rows` = {stage: the rows that are scored}."""

    def __init__(self, graphs: Sequence[Any], rows: Tensor, stage: str):
        self.graphs, self.rows, self.stage = graphs, rows, stage

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, draw: Draw) -> Any:
        """One batch; see `datamodules.sampling`."""
        from torch_geometric.data import Batch

        batch = Batch.from_data_list([self.graphs[row] for row in self.rows[draw.rows].tolist()])
        scored = batch.get("scored")
        rows = torch.arange(len(batch.labels)) if scored is None else scored.nonzero()[:, 0]
        batch.rows = {self.stage: rows}
        return batch


class Sampled(Dataset):
    """Nodes of one graph, the seeds, with neighbours that depend on (seed, epoch, stage, first seed of the batch).

    Of one epoch's batches no two have the same first seed, so that is (seed, epoch, rank, batch) in fewer words.
    """

    def __init__(self, sample: Callable[[Tensor, torch.Generator], Any], rows: Tensor, stage: str, seed: int):
        self.sample, self.rows, self.stage, self.seed = sample, rows, stage, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, draw: Draw) -> Any:
        """One batch, its seeds first; see `datamodules.sampling`."""
        seeds = self.rows[draw.rows]
        numbers = generator(self.seed, draw.epoch, STAGES.index(self.stage), int(seeds[0]))
        batch = self.sample(seeds, numbers)
        batch.rows = {self.stage: torch.arange(len(seeds))}
        return batch
