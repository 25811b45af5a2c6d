"""Augmentation: right, and a function of (seed, epoch, row) alone."""

import pytest
import torch

from datamodules.images.augment import Augment, CropFlip
from datamodules.sampling import BatchIndex
from zoo.errors import ZooError

ALL = {"crop": 1, "flip": True, "scale": [0.5, 1.0], "randaugment": {"n": 2, "m": 9}, "erase": 0.5}


def test_crop_and_flip_are_windows_of_the_image():
    images = torch.arange(1, 65).reshape(4, 1, 4, 4).to(torch.uint8)
    changed = CropFlip(4, 1, True, seed=0)(images, 0, [0, 1, 2, 3])
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    for image, whole in zip(changed, padded, strict=True):
        windows = [whole[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
        assert any(torch.equal(image, w) or torch.equal(image, w.flip(-1)) for w in windows)


def test_all_shifts_and_both_sides_occur():
    images = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).expand(1000, 1, 4, 4)
    changed = CropFlip(1000, 1, True, seed=0)(images, 0, list(range(1000)))
    assert len(changed.flatten(1).unique(dim=0)) == 18


@pytest.mark.parametrize("options", [{"crop": 1, "flip": True}, {"randaugment": {"n": 2, "m": 9}, "erase": 0.5}, ALL])
def test_it_depends_on_seed_epoch_and_row_only(digits, options):
    """A11: not on the batch's other rows, on what came before, nor on the global random numbers, which it leaves."""
    data = digits(augment=Augment(**options), seed=4).train_dataloader().dataset
    torch.manual_seed(0)
    together, _ = data.__getitems__(BatchIndex(3, [5, 6, 7, 8, 9, 10]))
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    data.__getitems__(BatchIndex(2, [1]))
    alone = torch.cat([data.__getitems__(BatchIndex(3, [row]))[0] for row in (10, 9, 8, 7, 6, 5)]).flip(0)
    assert torch.equal(together, alone)
    assert not torch.equal(together, data.__getitems__(BatchIndex(4, [5, 6, 7, 8, 9, 10]))[0])
    other = digits(augment=Augment(**options), seed=5).train_dataloader().dataset
    assert not torch.equal(together, other.__getitems__(BatchIndex(3, [5, 6, 7, 8, 9, 10]))[0])


def test_evaluation_is_never_augmented(digits):
    plain, changed = digits(), digits(augment=Augment(**ALL))
    for part in ("val_dataloader", "test_dataloader"):
        for one, other in zip(getattr(plain, part)(), getattr(changed, part)(), strict=True):
            assert torch.equal(one[0], other[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_do_not_change_the_batches(digits, workers):
    """Each worker would otherwise need a seed of its own; here none draws from its global generator."""
    module = digits(augment=Augment(**ALL), batch_size=300, num_workers=workers)
    loader, plain = module.train_dataloader(), digits(augment=Augment(**ALL), batch_size=300).train_dataloader()
    for epoch in (0, 1):
        for each in (loader, plain):
            each.batch_sampler.set_epoch(epoch)
        for one, other in zip(loader, plain, strict=True):
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": -1}, "crop=-1"),
        ({"erase": 2}, "erase=2"),
        ({"scale": [0.5]}, "scale="),
        ({"scale": [0.9, 0.1]}, "scale="),
        ({"randaugment": {"n": 2}}, "randaugment="),
        ({"randaugment": {"n": 2, "m": 31}}, "randaugment="),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ZooError, match=message):
        Augment(**options)
