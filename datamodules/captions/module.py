"""What all sets of captioned images share: pairs whose source is an image, read as images are everywhere here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules import tokenizers
from datamodules.images import Augment, ImageArrays, ImageData
from datamodules.images.module import tokens_of_an_image
from datamodules.pairs.batches import PairBatch
from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.module import PairData, Prepared
from datamodules.pairs.rows import Padded, Pairs
from datamodules.sampling import BatchIndex
from zoo.spec import CaptionSpec
from zoo.text import Tokenizer


@dataclass(frozen=True, eq=False)
class CaptionCorpus(PairCorpus):
    """Captions of images, a pair each; `sources` are the images' names.

    Args:
        images: uint8 [N, C, H, W], or N files.
        image: [pairs], which of them each pair is of.
    """

    images: Tensor | list[Path] = field(default_factory=list)
    image: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))


@dataclass(frozen=True, eq=False)
class Looked:
    """The images of a part's pairs, as a side of it; their pixels come by `Captions`."""

    count: int

    @property
    def sizes(self) -> Tensor:
        return torch.ones(self.count, dtype=torch.long)

    def take(self, rows: Tensor) -> tuple[Any, None]:
        return rows, None


class Captions(Pairs):
    """The pairs of a part: a batch's source is [B, C, H, W], without lengths."""

    def __init__(self, images: Any, said: Padded, seed: int | None):
        super().__init__(Looked(len(said.lengths)), said, seed)
        self.images = images

    def __getitems__(self, index: BatchIndex) -> PairBatch:
        batch = super().__getitems__(index)
        batch.source, _ = self.images.__getitems__(index)
        return batch


@dataclass(kw_only=True, eq=False, repr=False)
class Pictures(ImageData):
    """The images of a corpus, a row for each pair: what becomes of pictures is said in one place, `ImageData`."""

    arrays: Any = None
    exif_orientation: bool | None = None
    default_size = 224

    def load(self) -> ImageArrays:
        return self.arrays

    def finish(self, source: ImageArrays) -> ImageArrays:
        return source

    @property
    def shape(self) -> dict[str, Any]:
        found = super().shape
        if self.in_memory:
            return found
        turned = self.handed.get("exif_orientation", True) if self.exif_orientation is None else self.exif_orientation
        return {**found, "exif_orientation": turned}


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionData(PairData):
    """Batches of images and captions (`PairBatch`, source [B, C, H, W], lengths None); `load` gives a `CaptionCorpus`.

    Args:
        tokenizer: of the captions, as of `PairData`.
        img_size, in_chans, normalise, augment: of the images, as of `datamodules.images.ImageData`.
        lower, max_tokens, buckets, batch_size, num_workers, seed, split_seed, folder, cache: see `PairData`.

    Raises: ZooError as `PairData` and `ImageData`.
    """

    img_size: int | None = None
    in_chans: int | None = None
    normalise: dict[str, Any] | None = None
    augment: Augment | None = None

    # One tokenizer, of one side; it is chosen by `tokenizer` alone.
    source_tokenizer: Any = field(default=None, init=False)
    joint: bool | None = field(default=None, init=False)
    tokens: str | None = field(default=None, init=False)
    min_count: int = field(default=2, init=False)

    modality = "captions"
    samples = "captions"

    def __post_init__(self):
        super().__post_init__()
        self.handed: dict[str, Any] = {}
        self.pictures: Pictures | None = None

    def use_preprocess(self, preprocess: dict[str, Any]) -> None:
        """Feed a pretrained model as it was trained. What the config sets (img_size, in_chans, normalise) stays."""
        self.handed = dict(preprocess)
        if self.pictures is not None:
            self.pictures.use_preprocess(self.handed)

    def make_tokenizers(self, corpus: PairCorpus) -> tuple[Tokenizer, Tokenizer | None]:
        """Of the captions alone."""
        said = ("target",)
        texts, digest = lambda: corpus.texts("train", said), lambda: corpus.digest("train", said)
        return tokenizers.make(self.tokenizer, texts, digest, self.search_paths), None

    def read(self, corpus: PairCorpus, rows: Tensor, tokenizer: Tokenizer) -> Any:
        return Looked(len(rows))

    def finish(self, source: Any) -> Prepared:
        found = super().finish(source)
        images = source.images
        arrays = ImageArrays(images, torch.zeros(len(images), dtype=torch.long), ("image",))
        arrays.splits = {stage: source.image[rows] for stage, rows in found.rows.items()}
        self.pictures = Pictures(
            arrays=arrays, img_size=self.img_size, in_chans=self.in_chans, normalise=self.normalise, augment=self.augment,
            seed=self.seed, exif_orientation=getattr(self, "exif_orientation", None),
        )  # fmt: skip
        self.pictures.use_preprocess(self.handed)
        self.pictures.setup()
        return found

    @property
    def seen(self) -> Pictures:
        """The images, after `setup`."""
        self.loaded()
        assert self.pictures is not None  # `finish` made them
        return self.pictures

    @property
    def spec(self) -> CaptionSpec:
        tokenizer, made = self.loaded().tokenizer, self.seen.spec
        return CaptionSpec(
            target_vocab=tokenizer.vocab_size, tokenizer=tokenizer, img_size=made.img_size, in_chans=made.in_chans,
            preprocess=made.preprocess,
        )  # fmt: skip

    @property
    def preprocess(self) -> dict[str, Any]:
        """What happens to an image: the fields of `zoo.preprocess.Preprocess`."""
        return self.seen.preprocess

    @property
    def tokens_per_step(self) -> int:
        said = self.loaded().sides["train"][1].sizes.double().mean()
        return int(self.batch_size * (tokens_of_an_image(self.spec.img_size) + said))

    @property
    def in_memory(self) -> bool:
        return self.seen.in_memory

    def identity(self, stage: str) -> Sequence[Tensor | bytes]:
        found, images = super().identity(stage), self.seen.loaded().images
        return [*found, images[self.seen.rows(stage)]] if isinstance(images, Tensor) else found

    def dataset(self, stage: str) -> Captions:
        return Captions(
            self.seen.dataset(stage), self.loaded().sides[stage][1], self.seed if stage == "train" else None
        )

    def test_image(self, row: int) -> Tensor:
        """A test image as the model reads it: [1, C, H, W]."""
        return self.dataset("test").__getitems__(BatchIndex(0, [row])).source

    def describe(self) -> str:
        found, sizes = self.loaded().tokenizer, self.seen.shape
        size = f"{sizes['in_chans']}x{sizes['size']}x{sizes['size']}"
        counts = f"{self.train_size} training, {self.val_size} validation and {self.test_size} test {self.samples}"
        return f"{type(self).__name__}: {counts} of {size} ({found.kind} of {found.vocab_size:,} tokens)"
