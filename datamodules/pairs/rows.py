"""The tokens of a part of a set of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.pairs.batches import PairBatch
from datamodules.sampling import BatchIndex


class Side(Protocol):
    """What is read or said of a part's pairs: of texts their tokens; of another kind of source, what stands for them."""

    @property
    def sizes(self) -> Tensor:
        """[n], of each row: what is the same costs the same."""

    def take(self, rows: Tensor) -> tuple[Any, Tensor | None]:
        """(these rows as a batch, how many tokens each has; None where all of each counts)."""


@dataclass(frozen=True, eq=False)
class Padded:
    """Sequences one under another: ids [n, longest], lengths [n]."""

    ids: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], pad: int) -> "Padded":
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        ids = torch.full((len(rows), int(lengths.max()) if len(rows) else 0), pad)
        there = torch.arange(ids.shape[1]) < lengths[:, None]
        ids[there] = torch.tensor([id for row in rows for id in row], dtype=torch.long)
        return cls(ids, lengths)

    @property
    def sizes(self) -> Tensor:
        return self.lengths

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(ids as wide as the longest of them, lengths)."""
        lengths = self.lengths[rows]
        return self.ids[rows, : int(lengths.max()) if len(rows) else 0], lengths


class Pairs(Dataset):
    """The pairs of a part; `__getitems__` takes a `BatchIndex`."""

    def __init__(self, source: Side, target: Padded, seed: int | None):
        self.source, self.target, self.seed = source, target, seed

    def __len__(self) -> int:
        return len(self.target.lengths)

    def __getitems__(self, index: BatchIndex) -> PairBatch:
        rows = torch.tensor(index.rows)
        seed, epoch = (0, 0) if self.seed is None else (self.seed, index.epoch)
        return PairBatch(*self.source.take(rows), *self.target.take(rows), rows, seed, epoch)
