"""From a picture to a model's input, exactly as its test images were prepared."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import ZooError

if TYPE_CHECKING:
    from PIL.Image import Image

    from zoo.models import Preprocess


def to_input(image: Image | Tensor, preprocess: Preprocess | None) -> Tensor:
    """Shorter side to size / crop, the middle, channels as the model takes them, (x / 255 - mean) / std: [1, C, H, W].

    Grey becomes colour by repeating, colour grey by the mean of its channels, both as in training.

    Args:
        image: a PIL image of any mode, or uint8 [3, H, W].
        preprocess: `model.preprocess`.

    Raises: ZooError if the model carries no preprocessing.
    """
    from datamodules.prepare import normalise, resize

    spec = asdict(_given(preprocess))
    if isinstance(image, Tensor):
        pixels = image
    else:
        from torchvision.transforms.v2.functional import pil_to_tensor

        pixels = pil_to_tensor(image.convert("RGB"))
    return normalise(resize(pixels, spec).unsqueeze(0), spec)


def to_pixels(inputs: Tensor, preprocess: Preprocess | None) -> Tensor:
    """The inverse of the normalisation: [B, C, H, W] back to values in [0, 1], for figures. Raises as `to_input`."""
    spec = _given(preprocess)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
    return (inputs * std + mean).clamp(0, 1)


def _given(preprocess: Preprocess | None) -> Preprocess:
    if preprocess is None:
        raise ZooError("The model carries no preprocessing; set model.preprocess = zoo.models.Preprocess(size=...).")
    return preprocess
