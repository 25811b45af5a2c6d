"""Random changes of training images. What a sample gets depends on (seed, epoch, row) only.

So it does not depend on the number of processes or workers, nor on where a run was resumed (A11), and it leaves the
global random numbers, from which dropout draws, alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from datamodules.sampling import generator
from zoo.declared import declared
from zoo.errors import ZooError


@contextmanager
def random_state(*key: int) -> Iterator[None]:
    """Seed torch's CPU generator, from which torchvision draws, by the key for the block's length.

    `torch.manual_seed` would seed the GPUs too and could not be undone here.
    """
    before = torch.get_rng_state()
    torch.set_rng_state(generator(*key).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)


@declared("run")
@dataclass
class Augment:
    """crop: padding of a random crop, in pixels; flip: mirror half of the images; scale: (smallest, largest) area of a
    random resized crop; randaugment: {n: operations, m: strength on torchvision's scale of 0 to 30}; erase: the share
    of images in which a random rectangle is blackened."""

    crop: int = 0
    flip: bool = False
    scale: tuple[float, float] | None = None
    randaugment: dict[str, int] | None = None
    erase: float = 0.0

    def __post_init__(self):
        if self.crop < 0:
            raise ZooError(f"data.augment.crop={self.crop} is not a number of pixels; give 0 or more.")
        if not 0 <= self.erase <= 1:
            raise ZooError(f"data.augment.erase={self.erase} is not a share of the images; give 0 to 1.")
        if self.scale is not None and not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]):
            raise ZooError(f"data.augment.scale={list(self.scale)} is not two areas; give, say, [0.25, 1.0].")
        wanted = {"n", "m"}
        if self.randaugment is not None and (set(self.randaugment) != wanted or not 0 <= self.randaugment["m"] <= 30):
            raise ZooError(f"data.augment.randaugment={self.randaugment} is not {{n: ..., m: 0 to 30}}.")

    def resized_crop(self, size: int) -> Callable | None:
        """torchvision's random part of one image at this size; None if not asked for."""
        if self.scale is None:
            return None
        from torchvision.transforms import v2

        return v2.RandomResizedCrop(size, scale=tuple(self.scale), antialias=True)

    def per_image(self) -> Callable | None:
        """torchvision's RandAugment and erasing of one uint8 image; None if neither is asked for."""
        if self.randaugment is None and self.erase == 0:
            return None
        from torchvision.transforms import v2

        steps = [v2.RandAugment(self.randaugment["n"], self.randaugment["m"])] if self.randaugment else []
        return v2.Compose([*steps, v2.RandomErasing(self.erase)])


class CropFlip:
    """Random crop and flip of a batch, one draw an image, in a few tensor operations.

    torchvision crops a batch at one place, or an image at a time, which on a CPU costs more than a small model's step.
    The draws of all rows of an epoch are made at once: cheaper than a generator for each image, and they depend on
    (seed, epoch, row) alone.
    """

    def __init__(self, size: int, padding: int, flip: bool, seed: int):
        self.size, self.padding, self.flip, self.seed = size, padding, flip, seed
        self.epoch: int | None = None

    def __call__(self, images: torch.Tensor, epoch: int, rows: list[int]) -> torch.Tensor:
        if not self.padding and not self.flip:
            return images
        if epoch != self.epoch:
            draw = generator(self.seed, epoch, 0)
            self.shifts = torch.randint(2 * self.padding + 1, (2, self.size), generator=draw)
            self.mirrored = torch.rand(self.size, generator=draw) < 0.5
            self.epoch = epoch
        if self.padding:
            height, width = images.shape[-2:]
            padded = F.pad(images, (self.padding,) * 4)
            windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [B, C, shifts, shifts, height, width]
            down, right = self.shifts[:, rows]
            images = windows[torch.arange(len(rows)), :, down, right]
        if self.flip:
            images = torch.where(self.mirrored[rows, None, None, None], images.flip(-1), images)
        return images
