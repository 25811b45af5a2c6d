"""From a picture to a model's input, exactly as its test images were prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.errors import ZooError
from zoo.preprocess import to_uint8

if TYPE_CHECKING:
    from PIL.Image import Image

    from zoo.preprocess import Preprocess


def to_input(image: Image | Tensor | Path, preprocess: Preprocess | None) -> Tensor:
    """Shorter side to size / crop, the middle, channels as the model takes them, (x / 255 - mean) / std: [1, C, H, W].

    Grey becomes colour by repeating, colour grey by the mean of its channels, both as in training.

    Args:
        image: a PIL image of any mode, the path of a file, or uint8 [3, H, W].
        preprocess: `model.preprocess`.

    Raises: ZooError if the model carries no preprocessing, the file is not an image, or its numbers have no known range.
    """
    spec = _given(preprocess)
    if isinstance(image, str | Path):
        pixels = spec.read(Path(image), image)
    else:
        pixels = image if isinstance(image, Tensor) else to_uint8(image, exif_orientation=spec.exif_orientation)
    return spec.normalise(spec.resize(pixels).unsqueeze(0))


def to_pixels(inputs: Tensor, preprocess: Preprocess | None) -> Tensor:
    """The inverse of the normalisation: [B, C, H, W] back to values in [0, 1], for figures. Raises as `to_input`."""
    return _given(preprocess).inverse(inputs)


def _given(preprocess: Preprocess | None) -> Preprocess:
    if preprocess is None:
        raise ZooError("The model carries no preprocessing; set model.preprocess = zoo.models.Preprocess(size=...).")
    return preprocess
