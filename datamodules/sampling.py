"""Which rows make which batch: the same global batches for any number of processes, and after any resume."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from zoo.errors import ZooError


class BatchIndex(NamedTuple):
    """One batch: its rows, and the epoch, on which (with the seed and the row) augmentation depends."""

    epoch: int
    rows: list[int]


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on the key alone; neighbouring keys give unrelated numbers."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


class Pools(NamedTuple):
    """Rows of a like size in one batch, so that little is padded: those of `batches` batches in a row of the order are sorted
    by size, and cut into batches then.

    Args:
        sizes: [rows], of each row.
        batches: of training that are sorted together; in evaluation all are.
    """

    sizes: Tensor
    batches: int

    def sort(self, order: Tensor, pool: int) -> Tensor:
        """The order, each `pool` rows of it by size; rows of one size stay as they were."""
        return torch.cat([rows[self.sizes[rows].argsort(stable=True)] for rows in order.split(max(pool, 1))])


class TrainBatches(Sampler[BatchIndex]):
    """Shuffled global batches of which each process takes its rows: batch b of an epoch depends on (seed, epoch) only.

    The last short batch is dropped, unless it is the only one. `start` skips the batches that a resumed run has seen. pools:
    rows of a like size come together; which is drawn first, and the batches come in an order that is drawn too.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int = 0, rank: int = 0, world: int = 1, shuffle: bool = True,
        pools: Pools | None = None,
    ):  # fmt: skip
        self.size, self.batch_size, self.seed, self.rank, self.world = size, batch_size, seed, rank, world
        self.shuffle, self.pools = shuffle, pools
        self.epoch = self.start = 0

    @property
    def sampler(self) -> "TrainBatches":
        """Itself: Lightning calls `set_epoch` on `loader.batch_sampler.sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.size // self.batch_size)

    def __iter__(self) -> Iterator[BatchIndex]:
        order = torch.arange(self.size)
        if self.shuffle:
            order = torch.randperm(self.size, generator=generator(self.seed, self.epoch))
        batches = torch.arange(len(self))
        if self.pools is not None:  # what is dropped is drawn before: by size it would be the longest
            order = self.pools.sort(order[: len(self) * self.batch_size], self.pools.batches * self.batch_size)
            if self.shuffle:
                batches = torch.randperm(len(self), generator=generator(self.seed, self.epoch, 1))
        for batch in batches[self.start :].tolist():
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield BatchIndex(self.epoch, rows[self.rank :: self.world].tolist())


class EvalBatches(Sampler[BatchIndex]):
    """Each row once, in order, or by size, over all processes: no padding, no dropping (Lightning's sampler repeats rows)."""

    def __init__(self, size: int, batch_size: int, rank: int = 0, world: int = 1, pools: Pools | None = None):
        order = range(size) if pools is None else pools.sort(torch.arange(size), size).tolist()
        self.rows = order[rank::world]
        self.batch_size = max(1, batch_size // world)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[BatchIndex]:
        for first in range(0, len(self.rows), self.batch_size):
            yield BatchIndex(0, list(self.rows[first : first + self.batch_size]))


class Loader(DataLoader):
    """A DataLoader over `BatchIndex`s whose iteration starts at the first batch asked for.

    Lightning makes the iterator before it sets the sampler's epoch, and workers fetch ahead at once, so a plain loader
    gives the first epoch after a resume the order of epoch 0 (Lightning-AI/pytorch-lightning#21938).
    """

    def __init__(self, dataset: Any, batches: Sampler[BatchIndex], num_workers: int = 0):
        super().__init__(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]  # its annotation knows lists only
            collate_fn=_whole,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own generator, because a loader otherwise draws a number from the global one at each epoch, and
            # dropout after a resume would differ.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except ZooError as error:
            # A worker's error arrives as its traceback, of which the sentence is the last line.
            raise ZooError(str(error).strip().splitlines()[-1].removeprefix("zoo.errors.ZooError: ")) from error


class TrainLoader(Loader):
    """A loader that resumes within an epoch: its state says how many batches of which epoch were taken (A11)."""

    def __init__(self, dataset: Any, batches: TrainBatches, num_workers: int = 0):
        super().__init__(dataset, batches, num_workers)
        self.batches, self.taken = batches, 0
        self.resume: dict[int, int] = {}

    def __iter__(self) -> Iterator[Any]:
        # A state saved at the end of an epoch names that epoch, so the next one starts at its first batch.
        self.taken = self.batches.start = self.resume.pop(self.batches.epoch, 0)
        for batch in super().__iter__():
            self.taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Where training stands; Lightning keeps it in the checkpoint."""
        return {"epoch": self.batches.epoch, "taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip, once, what was taken of that epoch."""
        self.resume = {state["epoch"]: state["taken"]}


def _whole(batch: Any) -> Any:
    """The data sets here return whole batches: nothing to collate."""
    return batch
