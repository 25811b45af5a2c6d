"""From a picture to a model's input, the same in training, validation, test and predict: part of the model, saved with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Preprocess:
    """Resize the shorter side to size / crop, cut the middle size x size, (x / 255 - mean) / std: how timm evaluates.

    Args:
        size: side of the model's input, in pixels.
        in_chans: 1 or 3 (or as many as the images have); colour becomes grey by the mean of its channels, grey colour by
            repeating.
        mean: one number a channel, of values in [0, 1].
        std: likewise.
        interpolation: nearest, bilinear or bicubic.
        crop: the share of the shorter side that is kept.
        exif_orientation: turn a photograph as its EXIF tag says.
    """

    size: int
    in_chans: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"
    crop: float = 1.0
    exif_orientation: bool = True

    def describe(self) -> dict[str, str]:
        """What a model's card tells of it beside its sizes: nothing of a picture."""
        return {}

    def at(self, size: int, in_chans: int) -> Preprocess:
        """The same for a model of another size or number of channels; mean and std become their own averages then."""
        mean, std = self.mean, self.std
        if len(mean) != in_chans:
            mean, std = ((sum(values) / len(values),) * in_chans for values in (mean, std))
        return replace(self, size=size, in_chans=in_chans, mean=mean, std=std)

    def read(self, file: Path | BinaryIO, name: str | Path) -> Tensor:
        """An image file as uint8 [3, H, W]; see `read_image`."""
        return read_image(file, name, self.exif_orientation)

    def resize(self, images: Tensor) -> Tensor:
        """Shorter side to size / crop, then the centre. uint8 [..., C, H, W] in and out."""
        whole = int(self.size / self.crop)
        if images.shape[-2:] == (self.size, self.size) and whole == self.size:
            return images
        from torchvision.transforms.v2 import InterpolationMode, functional  # a second of import

        images = functional.resize(images, [whole], InterpolationMode(self.interpolation), antialias=True)
        return functional.center_crop(images, [self.size, self.size])

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] to float [B, in_chans, H, W]: (x / 255 - mean) / std."""
        if images.shape[1] > self.in_chans:
            images = grey(images)
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (images.float() * (1 / (255 * std))).sub_(mean / std)  # one channel meets three by broadcasting

    def inverse(self, inputs: Tensor) -> Tensor:
        """The normalisation undone, for figures: [B, C, H, W] back to values in [0, 1]."""
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (inputs * std + mean).clamp(0, 1)


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and the folders inside, also behind symbolic links; hidden files and folders are passed over.

    Each real folder is looked into once, so that links in a circle end.
    """
    found, seen = [], set()
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        names = () if real in seen else files
        found += [Path(top, n) for n in names if not n.startswith(".") and n.lower().endswith(EXTENSIONS)]
        seen.add(real)
    return sorted(found)


def grey(images: Tensor) -> Tensor:
    """The mean over the channels, in uint8: [..., C, H, W] -> [..., 1, H, W]."""
    return images.float().mean(-3, keepdim=True).round().to(torch.uint8)


def read_image(file: Path | BinaryIO, name: str | Path, exif_orientation: bool = True) -> Tensor:
    """An image file as uint8 [3, H, W].

    Args:
        file: what to open.
        name: what errors call it.
        exif_orientation: see `Preprocess`.

    Raises: ZooError naming the file where it is none, is damaged, or holds pixels whose range is not known.
    """
    from PIL import Image

    if isinstance(file, Path) and file.exists() and not file.is_file():  # a pipe or device: opening may never end
        raise ZooError(f"{name} is no plain file; give an image file.")
    try:
        with Image.open(file) as image:
            return to_uint8(image, name, exif_orientation)
    except ZooError:
        raise
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError and others on broken files
        raise ZooError(f"{name} cannot be read as an image ({error}); replace or remove the file.") from error


def to_uint8(image: Image, name: str | Path = "the image", exif_orientation: bool = True) -> Tensor:
    """A PIL image of any mode as uint8 [3, H, W].

    PIL's own conversion cuts everything above 255 off. Here 16 bits become 8 by their share of 65,535, and floats in [0, 1]
    by their share of 1; other numbers have no known white, and are refused.
    """
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))  # of PIL: 16 bits
    if exif_orientation:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode not in ("I", "F") and not wide:
        pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    values, white = np.asarray(image, dtype=np.float64), 65535 if wide else 1
    if not wide and (image.mode == "I" or not (values.min() >= 0 and values.max() <= 1)):
        kind = "whole numbers of 32 bits" if image.mode == "I" else "floats outside [0, 1]"
        raise ZooError(
            f"{name} holds {kind} ({values.min():g} to {values.max():g}), whose black and white are not known; save it with 8 "
            "or 16 bits, or as floats in [0, 1]."
        )
    return torch.from_numpy((values * (255 / white)).round().astype(np.uint8)).expand(3, -1, -1).contiguous()
