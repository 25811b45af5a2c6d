"""What a model is fed: size, channels, normalisation, and whose word counts."""

import logging

import pytest
import torch

from datamodules.images.normalise import fit_channels, statistics
from zoo.errors import ZooError

TIMM = {"size": 32, "in_chans": 3, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "interpolation": "bilinear"}


def test_digits_as_they_are(digits):
    module = digits(normalise={"mean": 0.0, "std": 1.0})
    assert (len(module.spec.classes), module.spec.sizes()) == (10, {"img_size": 8, "in_chans": 1})
    assert module.classes == tuple("0123456789")
    images, labels = module.test_images(360)
    assert images.shape == (360, 1, 8, 8) and images.dtype == torch.float32 and labels.dtype == torch.int64
    assert images.min() == 0 and images.max() == 1
    from sklearn.datasets import load_digits

    rows = sorted(module.rows("test").tolist())
    expected = torch.from_numpy(load_digits().images[rows] / 16).float()
    whole = torch.cat([batch for batch, _ in module.test_dataloader()])[:, 0]
    assert (whole - expected).abs().max() <= 0.5 / 255 + 1e-6  # kept as 8 bits


def test_own_statistics_are_of_the_training_images(digits, caplog):
    module = digits(batch_size=2000)
    with caplog.at_level(logging.INFO):
        images, _ = next(iter(module.train_dataloader()))
    assert abs(images.mean()) < 1e-4 and abs(images.std() - 1) < 1e-3
    assert "normalisation: the data's own" in caplog.text


def test_statistics_equal_torchs():
    images = torch.randint(0, 256, (50, 3, 5, 5), dtype=torch.uint8)
    mean, std = statistics(images, chunk=7)
    values = images.double() / 255
    assert torch.allclose(torch.tensor(mean).double(), values.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(torch.tensor(std).double(), values.std((0, 2, 3), correction=0), atol=1e-5)
    assert statistics(torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)) == ((1.0,), (1.0,))


def test_the_models_preprocessing_is_used(digits, caplog):
    """B1: a checkpoint of 3 channels and another size reads digits as it was trained to."""
    module = digits()
    module.use_preprocess(TIMM)
    with caplog.at_level(logging.INFO):
        assert module.preprocess == {**TIMM, "crop": 1.0}
    assert (len(module.spec.classes), module.spec.sizes()) == (10, {"img_size": 32, "in_chans": 3})
    assert "the model's preprocessing" in caplog.text
    images, _ = next(iter(module.train_dataloader()))
    assert images.shape == (64, 3, 32, 32)
    assert torch.equal(images[:, 0], images[:, 2])
    assert images.min() >= -1 and images.max() <= 1


def test_the_config_overrides_the_model(digits, caplog):
    module = digits(normalise={"mean": [0.1], "std": [0.2]}, img_size=16, in_chans=1)
    module.use_preprocess(TIMM)
    with caplog.at_level(logging.INFO):
        spec = module.preprocess
    assert spec["mean"] == (0.1,) and spec["std"] == (0.2,) and spec["size"] == 16 and spec["in_chans"] == 1
    assert "data.normalise" in caplog.text


def test_crop_takes_the_centre(digits):
    """size / crop, then the centre: what timm's evaluation does."""
    module = digits(normalise={"mean": 0.0, "std": 1.0})
    module.use_preprocess({"size": 8, "crop": 0.5, "interpolation": "nearest"})
    cropped, _ = module.test_images(5)
    module.use_preprocess({})
    whole, _ = module.test_images(5)
    assert torch.equal(cropped, whole[:, :, 2:6, 2:6].repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_channels_are_repeated_or_averaged():
    assert fit_channels([0.5], 3) == (0.5, 0.5, 0.5)
    assert fit_channels((0.1, 0.2, 0.6), 1) == (pytest.approx(0.3),)
    assert fit_channels(0.25, 1) == (0.25,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_chans": 4}, "in_chans=4 cannot be made of images with 1"),
        ({"img_size": -8}, "img_size=-8 must be 1 or more"),
        ({"normalise": {"mean": 0.5}}, "is not {mean: ..., std: ...}"),
        ({"normalise": {"mean": 0.5, "std": 0}}, "must be above 0"),
        ({"normalise": {"mean": [0.5, 0.5], "std": 1}, "in_chans": 3}, "has 2 values for 3 channels"),
    ],
)
def test_impossible_preprocessing_is_refused(digits, options, message):
    with pytest.raises(ZooError, match=message):
        _ = digits(**options).preprocess


def test_test_images_are_the_same_each_time(digits):
    module = digits()
    torch.manual_seed(1)
    first = module.test_images(8)
    torch.manual_seed(2)
    again = module.test_images(8)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert len(set(first[1].tolist())) > 1


def test_describe_is_one_line(digits):
    assert digits().describe() == ("Digits: 1077 training, 360 validation and 360 test images of 1x8x8, 10 classes")
