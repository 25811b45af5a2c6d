"""The real sets of the shared folder, which is read and never written."""

import numpy as np
import pytest
import torch

from datamodules.images import CIFAR10JPEG, FashionMNIST, sources


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


def test_fashion_mnist(shared, cache):
    before = snapshot(shared / "FashionMNIST")
    module = FashionMNIST(folder=str(shared), cache=str(cache), batch_size=128)
    module.setup()
    assert (module.train_size, module.val_size, module.test_size) == (54_000, 6_000, 10_000)
    assert (len(module.spec.classes), module.spec.sizes()) == (10, {"img_size": 28, "in_chans": 1})
    assert module.classes[0] == "T-shirt/top" and module.classes[9] == "Ankle boot"
    labels = module.source.labels
    assert np.bincount(labels[:60_000]).tolist() == [6000] * 10
    assert np.bincount(labels[module.rows("test")]).tolist() == [1000] * 10
    assert labels[0] == 9  # the first training image is a boot
    mean, std = module.preprocess["mean"], module.preprocess["std"]
    assert mean == pytest.approx((0.2860,), abs=1e-3) and std == pytest.approx((0.3530,), abs=1e-3)  # as published
    images, _ = next(iter(module.train_dataloader()))
    assert images.shape == (128, 1, 28, 28)
    assert snapshot(shared / "FashionMNIST") == before and not list(cache.iterdir())


def test_cifar10_jpeg_pictures(shared, cache, monkeypatch):
    """The smaller archive alone: its pictures are the known ones."""
    before = snapshot(shared / "cifar10-jpeg")
    monkeypatch.setattr(sources, "JPEG_SHA256", {"test": sources.JPEG_SHA256["test"]})
    images = sources._decode_jpeg(shared, cache)
    assert images.shape == (10_000, 3, 32, 32)
    assert images.mean() / 255 == pytest.approx(0.478, abs=5e-3)
    assert snapshot(shared / "cifar10-jpeg") == before and not list(cache.iterdir())


@pytest.mark.slow  # 10 s to decode
def test_cifar10_jpeg(shared, cache, monkeypatch):
    before = snapshot(shared / "cifar10-jpeg")

    def make(**options):
        module = CIFAR10JPEG(folder=str(shared), cache=str(cache), batch_size=128, **options)
        module.setup()
        return module

    module = make()
    assert (module.train_size, module.val_size, module.test_size) == (45_000, 5_000, 10_000)
    assert (len(module.spec.classes), module.spec.sizes()) == (10, {"img_size": 32, "in_chans": 3})
    assert np.bincount(module.source.labels[:50_000]).tolist() == [5000] * 10
    assert module.preprocess["mean"] == pytest.approx((0.491, 0.482, 0.447), abs=2e-3)  # near the original's
    assert snapshot(shared / "cifar10-jpeg") == before

    # The decoded pictures are kept: a second look does not open the archives.
    monkeypatch.setattr("datamodules.images.sources._decode_jpeg", lambda *_: pytest.fail("decoded again"))
    again = make(train_limit=5000)
    assert torch.equal(again.source.images[:100], module.source.images[:100])
    labels = again.source.labels[again.rows("train")]
    assert len(labels) == 5000 and np.bincount(labels).tolist() == [500] * 10
    assert set(again.rows("train").tolist()) <= set(module.rows("train").tolist())
    assert (again.rows("val") == module.rows("val")).all() and again.test_size == 10_000
