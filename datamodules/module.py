"""What all image sets share: parts, batches, preprocessing. A set says only how it is loaded."""

import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from datamodules.augment import Augment
from datamodules.datasets import Images
from datamodules.prepare import IMAGENET, Spec, Values, normalisation, shape, statistics
from datamodules.sampling import Draw, EvalBatches, Loader, TrainBatches, TrainLoader, generator
from datamodules.sources import Pictures
from datamodules.splits import carve, limit
from zoo.errors import ZooError
from zoo.preprocess import Preprocess, grey
from zoo.spec import ImageSpec

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False, repr=False)
class ImageData(LightningDataModule):
    """batch_size: the global one. split_seed: the parts; seed: the order and the augmentation. train_limit: so many
    training images, classes in proportion. img_size, in_chans, normalise ({mean, std}): null takes the model's
    preprocessing if one is handed over, else the set's own. folder: where the files are; cache: what may be written."""

    batch_size: int = 64
    num_workers: int = 0
    seed: int = 0
    split_seed: int = 0
    val_fraction: float = 0.1
    train_limit: int | None = None
    img_size: int | None = None
    in_chans: int | None = None
    normalise: dict[str, Any] | None = None
    augment: Augment | None = None
    folder: str = "~/.cache/attention-zoo"
    cache: str = "~/.cache/attention-zoo"

    modality = "image"
    pictures: Pictures | None = field(default=None, init=False)
    handed: Spec = field(default_factory=dict, init=False)
    default_size = 0  # of files, whose sizes differ

    def __post_init__(self):
        super().__init__()
        self._own: dict[int, Values] = {}
        self._logged = ""
        if self.batch_size < 1:
            raise ZooError(f"data.batch_size={self.batch_size} is not a number of images; give 1 or more.")

    def load(self) -> Pictures:
        """The set, with its test rows; each set's own part."""
        raise NotImplementedError

    @property
    def places(self) -> tuple[Path, Path]:
        """Where files are looked for: the user's folder, then the cache, the only one written to."""
        return Path(self.folder).expanduser(), Path(self.cache).expanduser()

    # -- parts -------------------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download and decode, which Lightning lets one process do before the others look."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load and split, once."""
        self._world()
        if self.pictures is not None:
            return
        found = self.load()
        if found.val is None:
            found.train, found.val = carve(found, self.val_fraction, self.split_seed, "val_fraction")
        found.train = limit(found, self.train_limit, self.split_seed)
        self.pictures = found

    def _found(self) -> Pictures:
        if self.pictures is None:
            raise RuntimeError(f"call {type(self).__name__}.setup() first")
        return self.pictures

    def _size(self, part: str) -> int:
        return len(getattr(self._found(), part))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in order of label."""
        return self._found().classes

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return self._size("train")

    @property
    def val_size(self) -> int:
        """Number of validation images."""
        return self._size("val")

    @property
    def test_size(self) -> int:
        """Number of test images."""
        return self._size("test")

    # -- preprocessing -----------------------------------------------------------------------------------------------

    def use_preprocess(self, preprocess: Spec) -> None:
        """Feed a pretrained model as it was trained. What the config sets (img_size, in_chans, normalise) stays."""
        self.handed = dict(preprocess)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the data can be read as; known before anything is loaded."""
        return (self.modality,)

    @property
    def spec(self) -> ImageSpec:
        """What a model must fit, once the data is set up."""
        made = Preprocess(**self.preprocess)
        return ImageSpec(classes=self.classes, img_size=made.size, in_chans=made.in_chans, preprocess=made)

    @property
    def preprocess(self) -> Spec:
        """What happens to an image: the fields of the models' Preprocess."""
        spec = self._shape()
        spec["mean"], spec["std"], whose = normalisation(
            spec["in_chans"], self.normalise, self.handed, self._statistics
        )
        message = f"normalisation: {whose}, mean {spec['mean']}, std {spec['std']}"
        if message != self._logged:
            log.info(message)
            self._logged = message
        return spec

    def _shape(self) -> Spec:
        images = self._found().images
        channels, size = (
            (images.shape[1], images.shape[-1]) if isinstance(images, torch.Tensor) else (3, self.default_size)
        )
        return shape(channels, size, self.in_chans, self.img_size, self.handed)

    def _statistics(self) -> tuple[Values, str]:
        """Mean and standard deviation of the training images, counted once for each number of channels; of files ImageNet's."""
        found, channels = self._found(), self._shape()["in_chans"]
        if not isinstance(found.images, torch.Tensor):
            return IMAGENET, "ImageNet's"
        if channels not in self._own:
            images = found.images[torch.from_numpy(found.train)]
            self._own[channels] = statistics(grey(images) if channels < images.shape[1] else images)
        return self._own[channels], "the data's own"

    # -- batches -----------------------------------------------------------------------------------------------------

    def _part(self, part: str) -> Images:
        found = self._found()
        rows = torch.from_numpy(getattr(found, part))
        return Images(found.images, torch.from_numpy(found.labels), rows, Preprocess(**self.preprocess))

    def _quiet(self) -> None:
        if torch.is_tensor(self._found().images) and self.num_workers == 0:
            # Lightning advises workers whatever the data; for images in memory they only add copying.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")

    def _world(self) -> tuple[int, int]:
        """(rank, number of processes), once the global batch is known to divide."""
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if self.batch_size % world:
            raise ZooError(
                f"data.batch_size={self.batch_size} is the batch over all processes and does not divide by {world}; "
                f"try {max(1, self.batch_size // world) * world}."
            )
        return rank, world

    def _enough(self, size: int, world: int, part: str) -> None:
        if size < world:
            raise ZooError(f"the {part} set has {size} images for {world} processes; use at most {size} devices.")

    def train_dataloader(self) -> TrainLoader:
        """Batches whose order and augmentation depend on (seed, epoch); the same for any number of processes."""
        self._quiet()
        rank, world = self._world()
        data = self._part("train").augmented(self.augment, self.seed)
        self._enough(len(data), world, "training")
        # Lightning's overfit_batches takes the first batches of each epoch: they must be the same ones.
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        batches = TrainBatches(len(data), self.batch_size, self.seed, rank, world, shuffle=not overfit)
        return TrainLoader(data, batches, self.num_workers)

    def _eval(self, part: str, name: str) -> Loader | list:
        self._quiet()
        rank, world = self._world()
        data = self._part(part)
        if not len(data):
            return []
        self._enough(len(data), world, name)
        return Loader(data, EvalBatches(len(data), self.batch_size, rank, world), self.num_workers)

    def val_dataloader(self) -> Loader | list:
        """The validation images, each once; nothing if val_fraction is 0."""
        return self._eval("val", "validation")

    def test_dataloader(self) -> Loader | list:
        """The test images, each once."""
        return self._eval("test", "test")

    def test_images(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Some test images as the model reads them, and their labels: always the same, and of mixed classes."""
        data = self._part("test")
        rows = torch.randperm(len(data), generator=generator(self.split_seed))[:count]
        return data.__getitems__(Draw(0, rows.tolist()))

    def describe(self) -> str:
        """One line: what is trained and tested on."""
        spec = self._shape()
        return (
            f"{type(self).__name__}: {self.train_size} training, {self.val_size} validation and {self.test_size} test "
            f"images of {spec['in_chans']}x{spec['size']}x{spec['size']}, {len(self.classes)} classes"
        )
