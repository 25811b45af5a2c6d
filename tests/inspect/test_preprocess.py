"""An image goes into a model as timm would evaluate it, and as this project's own test images do."""

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.errors import ZooError
from zoo.inspect import to_input
from zoo.inspect.preprocess import to_pixels
from zoo.models import Preprocess

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TWO_LEVELS = 2 / 255 / 0.224  # PIL's resize and torchvision's on tensors round differently


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth colours with an edge."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack([x, y, (x > y) * 0.8], -1) * 255
    return Image.fromarray(pixels.round().astype("uint8")).convert(mode)


@pytest.mark.parametrize("size, crop, interpolation", [
    (64, 1.0, "bicubic"), (56, 0.875, "bicubic"), (56, 0.875, "bilinear"), (96, 0.75, "bicubic"),
    (96, 0.9, "bicubic"),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(200, 150), (90, 130), (40, 40)], ids=str)
def test_equals_timms_evaluation(size, crop, interpolation, shape):
    from timm.data import create_transform

    theirs = create_transform(size, is_training=False, interpolation=interpolation, crop_pct=crop, **IMAGENET)
    ours = to_input(picture(*shape), Preprocess(size, 3, **IMAGENET, interpolation=interpolation, crop=crop))
    torch.testing.assert_close(ours[0], theirs(picture(*shape)), atol=TWO_LEVELS, rtol=0)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_any_mode_becomes_what_the_model_takes(mode):
    for channels in (1, 3):
        x = to_input(picture(20, 30, mode), Preprocess(8, channels, (0.5,) * channels, (0.5,) * channels))
        assert x.shape == (1, channels, 8, 8) and x.dtype == torch.float32 and x.abs().max() <= 1


def test_equals_what_the_run_was_tested_on():
    """A digit as a picture file and as the data module hands it over."""
    from datamodules.images import Digits

    data = Digits()
    data.setup()
    inputs, _ = data.test_images(3)
    preprocess = Preprocess(**data.preprocess)
    for one in inputs:
        pixels = (to_pixels(one[None], preprocess)[0, 0] * 255).round().to(torch.uint8)
        torch.testing.assert_close(to_input(Image.fromarray(pixels.numpy()), preprocess)[0], one, atol=1e-5, rtol=0)


def test_a_model_without_preprocessing_is_refused():
    with pytest.raises(ZooError, match="carries no preprocessing"):
        to_input(picture(8, 8), None)
