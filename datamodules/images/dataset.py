"""Images by row, a whole batch at a time: from memory, or decoded from files as they are needed."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.utils.data import Dataset

from datamodules.images.augment import Augment, CropFlip, random_state
from datamodules.sampling import BatchIndex
from zoo.preprocess import Preprocess


class ImageDataset(Dataset):
    """(normalised images [B, C, H, W], labels [B]) of the rows of a `BatchIndex`.

    `images` is one uint8 tensor, or the list of files; `rows` are those of this part (training, validation, test).
    """

    def __init__(self, images: torch.Tensor | list[Path], labels: torch.Tensor, rows: torch.Tensor, spec: Preprocess):
        self.images, self.labels, self.rows, self.spec = images, labels, rows, spec
        self.augment = Augment()
        self.seed = 0
        self._build()

    def augmented(self, augment: Augment | None, seed: int) -> "ImageDataset":
        """Itself, with random changes that depend on (seed, epoch, row)."""
        self.augment, self.seed = augment or Augment(), seed
        self._build()
        return self

    def _build(self) -> None:
        change, images = self.augment, self.images
        self.cut = change.resized_crop(images.shape[-1] if isinstance(images, torch.Tensor) else self.spec.size)
        self.shift = CropFlip(len(self.rows), change.crop, change.flip, self.seed)
        self.recolour = change.per_image()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = self.__getitems__(BatchIndex(0, [row]))
        return images[0], labels[0]

    def __getitems__(self, draw: BatchIndex) -> tuple[torch.Tensor, torch.Tensor]:
        """PyTorch hands over what the batch sampler yields; one call a batch, because calls cost more than pixels."""
        rows = self.rows[draw.rows]
        images = self._read(rows, draw)
        images = self.shift(images, draw.epoch, draw.rows)
        if self.recolour:
            images = self._each(self.recolour, images, draw, 2)
        if torch.is_tensor(
            self.images
        ):  # those from files have their size: it saves memory to resize each as it is read
            images = self.spec.resize(images)
        return self.spec.normalise(images), self.labels[rows]

    def _read(self, rows: torch.Tensor, draw: BatchIndex) -> torch.Tensor:
        if isinstance(self.images, torch.Tensor):
            batch = self.images[rows]
            return self._each(self.cut, batch, draw, 1) if self.cut else batch
        files = (self.spec.read(self.images[row], self.images[row]) for row in rows.tolist())
        if self.cut:
            return self._each(self.cut, files, draw, 1)
        return torch.stack([self.spec.resize(image) for image in files])

    def _each(self, change: Callable, images: Iterable[torch.Tensor], draw: BatchIndex, step: int) -> torch.Tensor:
        changed = []
        for row, image in zip(draw.rows, images, strict=True):
            with random_state(self.seed, draw.epoch, row, step):
                changed.append(change(image))
        return torch.stack(changed)
