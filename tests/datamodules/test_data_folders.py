"""A user's folder of class folders."""

import logging

import pytest
import torch
from PIL import Image

from datamodules.augment import Augment
from datamodules.images import ImageFolder
from datamodules.prepare import IMAGENET
from zoo.errors import ZooError


def make(root, **options) -> ImageFolder:
    module = ImageFolder(root=str(root), **{"img_size": 16, "batch_size": 4, **options})
    module.setup()
    return module


def test_one_folder_is_split(folder):
    root = folder(count=10)
    module = make(root)
    assert module.classes == ("cat", "dog")
    assert (module.train_size, module.val_size, module.test_size) == (14, 2, 4)
    assert module.facts == {"num_classes": 2, "img_size": 16, "in_chans": 3}
    assert (module.preprocess["mean"], module.preprocess["std"]) == IMAGENET
    parts = [set(getattr(module.pictures, part)) for part in ("train", "val", "test")]
    assert len(set.union(*parts)) == 20 == sum(map(len, parts))
    assert [set(getattr(make(root, seed=9).pictures, part)) for part in ("train", "val", "test")] == parts
    images, labels = next(iter(module.train_dataloader()))
    assert images.shape == (4, 3, 16, 16) and labels.dtype == torch.int64


def test_parts_in_folders_are_kept(folder):
    for part, count in (("train", 10), ("val", 3), ("test", 4)):
        root = folder(part, count=count)
    module = make(root)
    assert (module.train_size, module.val_size, module.test_size) == (20, 6, 8)
    for rows, part in ((module.pictures.val, "val"), (module.pictures.test, "test")):
        assert {module.pictures.images[row].parent.parent.name for row in rows} == {part}


def test_val_without_test_is_the_test_set(folder, caplog):
    folder("train", count=10)
    root = folder("val", count=3)
    with caplog.at_level(logging.INFO):
        module = make(root)
    assert (module.train_size, module.val_size, module.test_size) == (18, 2, 6)
    assert "val is the test set" in caplog.text


def test_evaluation_is_torchvisions(folder):
    """Shortest side to size, centre, mean and deviation."""
    from torchvision.transforms import v2

    module = make(folder())
    module.use_preprocess({"crop": 0.8, "interpolation": "bilinear"})
    expected = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(20, antialias=True),
            v2.CenterCrop(16),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*IMAGENET),
        ]
    )
    images, _ = next(iter(module.test_dataloader()))
    files = [module.pictures.images[row] for row in module.pictures.test]
    for image, file in zip(images, files, strict=True):
        assert torch.allclose(image, expected(Image.open(file)), atol=1e-5)


def test_training_is_augmented_and_repeatable(folder):
    augment = Augment(scale=(0.3, 1.0), flip=True, randaugment={"n": 2, "m": 9})
    root = folder()
    one, two = (next(iter(make(root, augment=augment, num_workers=n).train_dataloader()))[0] for n in (0, 1))
    plain = next(iter(make(root).train_dataloader()))[0]
    assert torch.equal(one, two) and not torch.equal(one, plain)


def test_gray_images_and_one_channel(folder):
    root = folder(count=20)
    Image.new("L", (9, 9), 255).save(root / "cat" / "gray.png")
    module = make(root, in_chans=1, normalise={"mean": 0, "std": 1}, test_fraction=0.5)
    images = torch.cat([batch for batch, _ in module.test_dataloader()])
    assert images.shape == (21, 1, 16, 16) and images.max() <= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_image_is_named(folder, workers):
    root = folder()
    for file in (root / "dog").iterdir():
        file.write_bytes(b"not an image")
    loader = make(root, num_workers=workers).train_dataloader()
    with pytest.raises(ZooError, match=r"^\S+dog/\d+.png cannot be read as an image .*replace or remove the file.$"):
        list(loader)
    if workers:
        loader._iterator._shutdown_workers()  # as Lightning does; the garbage collector would take 5 s


def test_missing_folder(tmp_path):
    with pytest.raises(ZooError, match=r"data.root=.*nowhere is not a folder"):
        make(tmp_path / "nowhere")
    with pytest.raises(ZooError, match="needs data"):
        ImageFolder().setup()


def test_empty_folder(tmp_path, folder):
    (tmp_path / "pictures" / "bird").mkdir(parents=True)
    with pytest.raises(ZooError, match="bird holds no images"):
        make(tmp_path / "pictures")
    (tmp_path / "pictures" / "bird").rmdir()
    with pytest.raises(ZooError, match="pictures holds no class folders"):
        make(tmp_path / "pictures")


def test_class_outside_the_training_ones(folder):
    folder("train")
    root = folder("test", classes=("cat", "horse"))
    with pytest.raises(ZooError, match=r"test/horse is a class outside the 2 of the training folder \(cat, dog\)"):
        make(root)


def test_too_few_images_to_split(folder):
    with pytest.raises(ZooError, match=r"test_fraction=0.2 cannot take a stratified part of 2 images of 2 classes"):
        make(folder(count=1))
