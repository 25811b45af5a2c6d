"""A user's folder of class folders."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.images import ImageFolder
from datamodules.images.augment import Augment
from datamodules.images.normalise import IMAGENET
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
    assert (len(module.spec.classes), module.spec.sizes()) == (2, {"img_size": 16, "in_chans": 3})
    assert (module.preprocess["mean"], module.preprocess["std"]) == IMAGENET
    parts = [set(module.rows(part).tolist()) for part in ("train", "val", "test")]
    assert len(set.union(*parts)) == 20 == sum(map(len, parts))
    assert [set(make(root, seed=9).rows(part).tolist()) for part in ("train", "val", "test")] == parts
    images, labels = next(iter(module.train_dataloader()))
    assert images.shape == (4, 3, 16, 16) and labels.dtype == torch.int64


def test_parts_in_folders_are_kept(folder):
    for part, count in (("train", 10), ("val", 3), ("test", 4)):
        root = folder(part, count=count)
    module = make(root)
    assert (module.train_size, module.val_size, module.test_size) == (20, 6, 8)
    for rows, part in ((module.rows("val"), "val"), (module.rows("test"), "test")):
        assert {module.source.images[row].parent.parent.name for row in rows} == {part}


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
    files = [module.source.images[row] for row in module.rows("test")]
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


def test_one_class_is_nothing_to_tell_apart(folder, tmp_path):
    root = tmp_path / "alone"
    (root / "cat").mkdir(parents=True)
    Image.new("L", (8, 8)).save(root / "cat" / "a.png")
    with pytest.raises(ZooError, match="holds one class folder, cat: there is nothing to tell it from"):
        make(root)


def test_class_outside_the_training_ones(folder):
    folder("train")
    root = folder("test", classes=("cat", "horse"))
    with pytest.raises(ZooError, match=r"test/horse is a class outside the 2 of the training folder \(cat, dog\)"):
        make(root)


def test_too_few_images_to_split(folder):
    with pytest.raises(ZooError, match=r"test_fraction=0.2 cannot take a stratified part of 2 images of 2 classes"):
        make(folder(count=1))


def levels(tmp_path, name, pixels, **options) -> torch.Tensor:
    """What training makes of one file, in [0, 1]."""
    for kind in ("a", "b"):
        (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
        (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(
            tmp_path / "set" / kind / name, **options
        )
    module = make(tmp_path / "set", img_size=4, val_fraction=0, test_fraction=0, normalise={"mean": 0, "std": 1})
    images, _ = next(iter(module.train_dataloader()))
    assert torch.equal(images[0], images[1])
    return images[0]


RAMP = np.arange(16).reshape(4, 4)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("16 bits.png", (RAMP * 65535 // 15).astype(np.uint16)),
        ("16 bits.tif", (RAMP * 65535 // 15).astype(np.uint16)),
        ("16 bits.pgm", (RAMP * 65535 // 15).astype(np.uint16)),
        ("floats.tif", (RAMP / 15).astype(np.float32)),
        ("8 bits.png", (RAMP * 255 // 15).astype(np.uint8)),
    ],
)
def test_16_bits_and_floats_are_scaled_by_their_mode(tmp_path, name, pixels):
    """PIL's own conversion to RGB makes all of them white but the lowest: the same in training and in predict."""
    from zoo.inspect import to_input
    from zoo.models import Preprocess

    found = levels(tmp_path, name, pixels)
    expected = torch.from_numpy(RAMP / 15).float().expand(3, 4, 4)
    assert (found - expected).abs().max() <= 1 / 255
    spec = Preprocess(4, 3, (0.0,) * 3, (1.0,) * 3)
    assert torch.equal(to_input(tmp_path / "set" / "a" / name, spec)[0], found)
    with Image.open(tmp_path / "set" / "a" / name) as image:
        assert torch.equal(to_input(image, spec)[0], found)


@pytest.mark.parametrize(
    "pixels", [RAMP.astype(np.int32), RAMP.astype(np.float32), np.full((4, 4), np.nan, np.float32)]
)
def test_numbers_of_unknown_range_are_refused_with_the_path(tmp_path, pixels):
    with pytest.raises(ZooError, match=r"set/[ab]/x.tif holds .*save it with 8 or 16 bits"):
        levels(tmp_path, "x.tif", pixels)


@pytest.mark.parametrize("turn", [True, False, None])
def test_exif_orientation_is_a_setting(tmp_path, turn):
    """A photograph that is to be turned by a quarter, and its model's preprocessing says the same."""
    from zoo.inspect import to_input
    from zoo.models import Preprocess

    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = (RAMP * 255 // 15).astype(np.uint8)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        Image.fromarray(pixels).save(tmp_path / kind / "x.png", exif=exif)
    options = {"img_size": 4, "val_fraction": 0, "test_fraction": 0, "normalise": {"mean": 0, "std": 1}}
    module = make(tmp_path, exif_orientation=turn, **options)
    if turn is None:  # a pretrained model is fed as it was trained
        module.use_preprocess({"exif_orientation": False})
    images, _ = next(iter(module.train_dataloader()))
    upright = np.rot90(pixels, k=-1) if turn else pixels
    assert torch.allclose(images[0, 0], torch.from_numpy(upright / 255).float())
    assert torch.equal(to_input(tmp_path / "a" / "x.png", Preprocess(**module.preprocess))[0], images[0])


def test_links_are_followed_and_what_is_hidden_is_not_read(folder, tmp_path):
    """Symbolic links to folders and files, in a circle too; macOS's ._ files; folders that are named like a picture."""
    root = folder(count=4)
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    for name in ("x.png", "y.JPG"):
        Image.new("RGB", (9, 9)).save(other / name)
    (root / "cat" / "more").symlink_to(other.parent)
    (root / "cat" / "one.png").symlink_to(other / "x.png")
    (root / "bird").symlink_to(other)
    (other / "circle").symlink_to(other.parent)
    (root / "cat" / "._000.png").write_bytes(b"resource fork")
    (root / "dog" / ".thumbnails").mkdir()
    (root / "dog" / ".thumbnails" / "t.png").write_bytes(b"no image")
    (root / "dog" / "x.jpg").mkdir()
    module = make(root, val_fraction=0, test_fraction=0)
    names = {c: [] for c in module.classes}
    for file, label in zip(module.source.images, module.source.labels, strict=True):
        names[module.classes[label]].append(file.name)
    assert {c: len(found) for c, found in names.items()} == {"bird": 2, "cat": 7, "dog": 4}
    assert list(module.train_dataloader())


def test_a_class_called_train_is_told_from_a_part(folder, caplog):
    """Means of transport: pictures lie in train itself, or only classes stand beside it."""
    root = folder(classes=("plane", "train"))
    with caplog.at_level(logging.INFO):
        assert make(root).classes == ("plane", "train")
    assert "train is a class, as plane is" in caplog.text
    (root / "train" / "steam").mkdir()
    for file in list((root / "train").glob("*.png")):
        file.rename(root / "train" / "steam" / file.name)
    assert make(root).classes == ("plane", "train")


def test_folders_beside_the_parts_are_passed_over(folder, caplog):
    for part in ("train", "val", "test"):
        root = folder(part, count=10)
    folder("unlabelled", classes=("all",))
    with caplog.at_level(logging.INFO):
        module = make(root)
    assert module.classes == ("cat", "dog") and len(module.source.labels) == 60
    assert "passed over: unlabelled" in caplog.text


def test_the_log_says_whose_statistics(folder, caplog):
    with caplog.at_level(logging.INFO):
        _ = make(folder()).preprocess
    assert "normalisation: ImageNet's, mean (0.485" in caplog.text


def test_the_default_model_reads_at_most_256_patches(folder):
    """224 pixels in patches of 4 were 3,136 tokens, and a batch took minutes."""
    from tests.training.compose import compose
    from zoo.config import instantiate, plain
    from zoo.tasks.fit import fit

    config = plain(compose("data=imagefolder", f"data.root='{folder()}'"))
    data = instantiate(config["data"])
    data.setup()
    patch = fit(config, data.spec)["model"]["patch_size"]
    assert data.spec.img_size == 224 and 100 <= (224 // patch) ** 2 <= 256
