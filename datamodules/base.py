"""What all data modules share, whatever their modality: folders, splits, batches. A room adds what its samples are."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sampling import EvalBatches, Loader, Pools, TrainBatches, TrainLoader
from datamodules.splits import NAMES
from zoo.errors import ZooError, nearest
from zoo.spec import Spec


@dataclass(kw_only=True, eq=False, repr=False)
class DataModule(LightningDataModule):
    """Load a set once, and make the same global batches of it for any number of processes and after any resume.

    A modality's class defines `modality`, `finish` (split, check and prepare what was loaded), `dataset` and `spec`; a set's
    own class defines `load`.

    Args:
        batch_size: samples of a step, over all processes.
        num_workers: processes that load; 0 loads in the process that trains.
        seed: of the order of training and of what is random in a sample.
        split_seed: of the training, validation and test splits, where the set does not come with its own.
        folder: where files are looked for; never written to.
        cache: what may be written: downloads, and what is made of them.

    Raises:
        ZooError: settings out of range; a batch that does not divide by the number of processes, or less samples than these.
    """

    batch_size: int = 64
    num_workers: int = 0
    seed: int = 0
    split_seed: int = 0
    folder: str = "~/.cache/attention-zoo"
    cache: str = "~/.cache/attention-zoo"

    #: The set as it was loaded, with `classes` and `splits`; None before `setup`.
    source: Any = field(default=None, init=False)
    modality = ""  # a word of `zoo.spec`
    samples = "samples"  # what they are called in messages
    places: ClassVar[
        tuple[str, ...]
    ] = ()  # settings that say where files of the user's own lie: no run's config decides them
    #: Where a set comes from, and under which licence it may be used; None: nobody has told, as of data of the user's own.
    reference: ClassVar[str | None] = None
    licence: ClassVar[str | None] = None
    called: ClassVar[str] = ""  # what `data=` calls it, where that is not the class's name in small letters

    def __post_init__(self):
        super().__init__()
        if self.batch_size < 1:
            raise ZooError(f"data.batch_size={self.batch_size} is not a number of {self.samples}; give 1 or more.")
        if isinstance(self.num_workers, bool) or not isinstance(self.num_workers, int) or self.num_workers < 0:
            raise ZooError(f"data.num_workers={self.num_workers} is not a number of processes; give 0 or more.")

    # -- what a set or a modality defines ----------------------------------------------------------------------------

    def load(self) -> Any:
        """The set; each set's own part."""
        raise NotImplementedError(f"{type(self).__name__} is a data set without `load`: define it.")

    def finish(self, source: Any) -> Any:
        """What was loaded, split, checked and prepared."""
        return source

    def dataset(self, stage: str) -> Dataset:
        """The samples of "train", "val" or "test"; its `__getitems__` takes a `datamodules.sampling.BatchIndex`."""
        raise NotImplementedError(f"{type(self).__name__} is of a modality without `dataset`: define it.")

    @property
    def spec(self) -> Spec:
        """What the data is, once it is set up; models and tasks are fitted to it."""
        raise NotImplementedError(f"{type(self).__name__} is of a modality without `spec`: define it.")

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the data can be read as; known before anything is loaded."""
        return (self.modality,)

    # -- what a card says of them ------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What the set is called, as `data=` has it."""
        return self.called or type(self).__name__.lower()

    @property
    def vintage(self) -> str | None:
        """What the data depend on beside their config, such as the Python that they are read from; None: nothing."""
        return None

    def digest(self, stage: str) -> str:
        """A sha256 of which samples "train", "val" or "test" has, and of what is asked of them: another split has another."""
        found = hashlib.sha256()
        for part in self.identity(stage):
            found.update(part if isinstance(part, bytes) else torch.as_tensor(part).contiguous().numpy().tobytes())
        return found.hexdigest()

    def identity(self, stage: str) -> Sequence[Tensor | bytes]:
        """What tells the samples of a part from others, in whole numbers, which no rounding changes; a modality adds labels."""
        return [self.rows(stage)]

    # -- splits ------------------------------------------------------------------------------------------------------

    @property
    def search_paths(self) -> tuple[Path, Path]:
        """Where files are looked for: the user's folder, then the cache, the only one written to."""
        return Path(self.folder).expanduser(), Path(self.cache).expanduser()

    def prepare_data(self) -> None:
        """Download and prepare, which Lightning lets one process do before the others look."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load and prepare, once."""
        self._check_world()
        if self.source is None:
            self.source = self.finish(self.load())

    def loaded(self) -> Any:
        """`source`, after `setup`."""
        if self.source is None:
            raise RuntimeError(f"call {type(self).__name__}.setup() first")
        return self.source

    def rows(self, stage: str) -> Tensor:
        """Which samples are for "train", "val" or "test", ascending."""
        return self.loaded().splits[stage]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in order of label."""
        return self.loaded().classes

    @property
    def train_size(self) -> int:
        """Number of training samples."""
        return len(self.rows("train"))

    @property
    def val_size(self) -> int:
        """Number of validation samples."""
        return len(self.rows("val"))

    @property
    def test_size(self) -> int:
        """Number of test samples."""
        return len(self.rows("test"))

    @property
    def samples_per_step(self) -> int:
        """Samples that a training step learns from, over all processes."""
        return min(self.batch_size, self.train_size)

    @property
    def tokens_per_step(self) -> int:
        """Tokens, nodes or patches, about, that a training step reads: what `threads=auto` goes by."""
        return self.batch_size

    def use_preprocess(self, preprocess: Any) -> None:
        """Feed a pretrained model as it was trained, where its modality has a preprocessing."""

    def use_tokenizer(self, tokenizer: Any, source_tokenizer: Any = None) -> None:
        """Feed a pretrained model with the tokens that it knows, where its modality has a tokenizer. Before `setup`.

        source_tokenizer: of what a model of pairs reads, where that is another one.
        """

    def pools(self, stage: str) -> Pools | None:
        """How rows of a like size come together in batches; None: as they come."""
        return None

    # -- batches -----------------------------------------------------------------------------------------------------

    @property
    def world(self) -> tuple[int, int]:
        """(rank, number of processes)."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _check_world(self) -> None:
        if self.batch_size % (world := self.world[1]):
            raise ZooError(
                f"data.batch_size={self.batch_size} is the batch over all processes and does not divide by {world}; "
                f"try {max(1, self.batch_size // world) * world}."
            )

    def _check_size(self, stage: str) -> None:
        size, world = len(self.rows(stage)), self.world[1]
        if size < world:
            raise ZooError(
                f"the {NAMES[stage]} set has {size} {self.samples} for {world} processes; use at most {size} devices."
            )

    @property
    def in_memory(self) -> bool:
        """Whether samples lie in memory, so that workers would only add copying."""
        return True

    def batches(self, stage: str) -> Any:
        """The batches of "train", "val" or "test" for this process; none of an empty split."""
        self._check_world()
        if not (size := len(self.rows(stage))):
            warnings.filterwarnings("ignore", ".*across ranks is zero.*")  # Lightning asks whether that is meant: it is
            return []
        self._check_size(stage)
        if self.in_memory and self.num_workers == 0:
            # Lightning advises workers whatever the data.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
        data, (rank, world) = self.dataset(stage), self.world
        if stage != "train":
            evaluated = EvalBatches(size, self.batch_size, rank, world, self.pools(stage))
            return Loader(data, evaluated, self.num_workers)
        # Lightning's overfit_batches takes the first batches of each epoch: they must be the same ones.
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        pools = self.pools(stage)
        batches = TrainBatches(size, self.batch_size, self.seed, rank, world, shuffle=not overfit, pools=pools)
        return TrainLoader(data, batches, self.num_workers)

    def train_dataloader(self) -> Any:
        """Batches whose order, and what is random in them, depend on (seed, epoch)."""
        return self.batches("train")

    def val_dataloader(self) -> Any:
        """Each validation sample once; nothing where the set has none."""
        return self.batches("val")

    def test_dataloader(self) -> Any:
        """Each test sample once."""
        return self.batches("test")

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """On a CPU a batch is where it must be; looking through it each time costs a small model a hundredth of its step."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def describe(self) -> str:
        """One line: what is trained and tested on."""
        sizes = f"{self.train_size} training, {self.val_size} validation and {self.test_size} test"
        return f"{type(self).__name__}: {sizes} {self.samples}"


def one_of(value: Any, option: str, options: Sequence[Any]) -> Any:
    """The value of the config's key data.`option`, if it is one of the options. Raises ZooError naming the nearest."""
    if value not in options:
        raise ZooError(f"data.{option}={value} is unknown: {nearest(value, [o for o in options if o is not None])}")
    return value
