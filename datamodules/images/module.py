"""What all image sets share: sizes, preprocessing, augmentation. A set says only how it is loaded."""

import logging
from dataclasses import dataclass, field
from typing import Any

import torch

from datamodules.base import DataModule
from datamodules.images.augment import Augment
from datamodules.images.dataset import ImageDataset
from datamodules.images.normalise import IMAGENET, Spec, Values, normalisation, shape, statistics
from datamodules.images.sources import ImageArrays
from datamodules.sampling import BatchIndex, generator
from datamodules.splits import holdout, subsample
from zoo.preprocess import Preprocess, grey
from zoo.spec import ImageSpec

log = logging.getLogger(__name__)
TOKENS = 256  # of an image at most


@dataclass(kw_only=True, eq=False, repr=False)
class ImageData(DataModule):
    """Batches (images float [B, C, H, W], labels long [B]); `load` gives an `ImageArrays`. Of images with several classes
    or with numbers, labels are float [B, C].

    Args:
        test_fraction: of the images, for the test, where the set does not say which.
        val_fraction: of those that are left, for validation, likewise.
        train_limit: so many training images, classes in proportion; None: all.
        img_size: side in pixels; None: as the model's preprocessing says, if one is handed over, else the set's own.
        in_chans: 1 or 3; None: likewise.
        normalise: {mean, std} of values in [0, 1]; None: likewise.
        augment: random changes of training images; None: none.
        batch_size, num_workers, seed, split_seed, folder, cache: see `DataModule`.
    """

    test_fraction: float = 0.2
    val_fraction: float = 0.1
    train_limit: int | None = None
    img_size: int | None = None
    in_chans: int | None = None
    normalise: dict[str, Any] | None = None
    augment: Augment | None = None

    source: ImageArrays | None = field(default=None, init=False)
    handed: Spec = field(default_factory=dict, init=False)
    default_size = 0  # of files, whose sizes differ
    modality = "image"
    samples = "images"

    def __post_init__(self):
        super().__post_init__()
        self._own: dict[int, Values] = {}
        self._logged = ""

    def finish(self, source: ImageArrays) -> ImageArrays:
        """Hold out test and validation images where the set says of none, and leave away what is beyond train_limit."""
        splits, labels = source.splits, source.labels
        for stage, share in (("test", self.test_fraction), ("val", self.val_fraction)):
            if stage not in splits:
                option = f"{stage}_fraction"
                parts = holdout(splits["train"], labels, share, self.split_seed, option, self.samples)
                splits["train"], splits[stage] = parts
        splits["train"] = subsample(splits["train"], labels, self.train_limit, self.split_seed, self.samples)
        return source

    # -- preprocessing -----------------------------------------------------------------------------------------------

    def use_preprocess(self, preprocess: Spec) -> None:
        """Feed a pretrained model as it was trained. What the config sets (img_size, in_chans, normalise) stays."""
        self.handed = dict(preprocess)

    @property
    def spec(self) -> ImageSpec:
        made = Preprocess(**self.preprocess)
        source = self.loaded()
        targets: dict[str, Any] = {"classes": self.classes, "targets": source.targets}
        if source.targets == "numbers":
            targets["num_targets"] = source.labels.shape[1]
        return ImageSpec(img_size=made.size, in_chans=made.in_chans, preprocess=made, **targets)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * tokens_of_an_image(self.spec.img_size)

    @property
    def preprocess(self) -> Spec:
        """What happens to an image: the fields of `zoo.preprocess.Preprocess`."""
        spec = self.shape
        mean, std, whose = normalisation(spec["in_chans"], self.normalise, self.handed, self._statistics)
        message = f"normalisation: {whose}, mean {mean}, std {std}"
        if message != self._logged:
            log.info(message)
            self._logged = message
        return {**spec, "mean": mean, "std": std}

    @property
    def shape(self) -> Spec:
        """The fields of `preprocess` but mean and deviation, which may have to be counted."""
        images = self.loaded().images
        own = (images.shape[1], images.shape[-1]) if isinstance(images, torch.Tensor) else (3, self.default_size)
        return shape(*own, self.in_chans, self.img_size, self.handed)

    def _statistics(self) -> tuple[Values, str]:
        """Mean and standard deviation of the training images, counted once for each number of channels; of files ImageNet's."""
        images, channels = self.loaded().images, self.shape["in_chans"]
        if not isinstance(images, torch.Tensor):
            return IMAGENET, "ImageNet's"
        if channels not in self._own:
            train = images[self.rows("train")]
            self._own[channels] = statistics(grey(train) if channels < images.shape[1] else train)
        return self._own[channels], "the data's own"

    # -- batches -----------------------------------------------------------------------------------------------------

    @property
    def in_memory(self) -> bool:
        return isinstance(self.loaded().images, torch.Tensor)

    def dataset(self, stage: str) -> ImageDataset:
        """The images of a split; those of training with their random changes."""
        source = self.loaded()
        data = ImageDataset(source.images, source.labels, self.rows(stage), Preprocess(**self.preprocess))
        return data.augmented(self.augment, self.seed) if stage == "train" else data

    def identity(self, stage: str) -> list[torch.Tensor]:
        rows, labels = self.rows(stage), self.loaded().labels
        return [rows, *([labels[rows]] if self.loaded().targets == "class" else [])]

    def test_images(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Some test images as the model reads them, and their labels: always the same, and of mixed classes."""
        data = self.dataset("test")
        rows = torch.randperm(len(data), generator=generator(self.split_seed))[:count]
        return data.__getitems__(BatchIndex(0, rows.tolist()))

    def describe(self) -> str:
        spec = self.shape
        size = f"{spec['in_chans']}x{spec['size']}x{spec['size']}"
        what = f"{len(self.classes)} classes" if self.classes else f"{self.loaded().labels.shape[1]} numbers each"
        return f"{super().describe()} of {size}, {what}"


def tokens_of_an_image(img_size: int) -> int:
    """Patches, about, that a ViT cuts it into: of 2x2 pixels where the larger ones that it takes then are fewer."""
    return min(img_size**2 // 4, TOKENS)
