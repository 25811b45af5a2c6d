"""Image classification data: `data=digits`, `fashion_mnist`, `mnist`, `cifar10`, `cifar10_jpeg`, `imagefolder`."""

from dataclasses import dataclass

import numpy as np

from datamodules import folders, sources
from datamodules.module import ImageData
from datamodules.prepare import Spec
from datamodules.splits import carve
from zoo.declared import declared
from zoo.errors import ZooError, nearest


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Digits(ImageData):
    """scikit-learn's 1,797 digits. `split`: stratified, or second_half: the last half, unshuffled, is the test set."""

    split: str = "stratified"
    test_fraction: float = 0.2
    val_fraction: float = 0.25

    def load(self) -> sources.Pictures:
        found = sources.digits()
        if self.split == "second_half":
            found.train, found.test = np.array_split(found.train, 2)
        elif self.split == "stratified":
            found.train, found.test = carve(found, self.test_fraction, self.split_seed, "test_fraction")
        else:
            known = nearest(self.split, ["stratified", "second_half"])
            raise ZooError(f"data.split={self.split!r} is unknown: {known}")
        return found


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class MNIST(ImageData):
    """70,000 digits of 28x28."""

    def load(self) -> sources.Pictures:
        return sources.idx("MNIST", *self.places)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class FashionMNIST(ImageData):
    """70,000 pieces of clothing of 28x28."""

    def load(self) -> sources.Pictures:
        return sources.idx("FashionMNIST", *self.places)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CIFAR10(ImageData):
    """60,000 colour images of 32x32."""

    def load(self) -> sources.Pictures:
        return sources.cifar10(*self.places)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CIFAR10JPEG(ImageData):
    """CIFAR-10 stored as JPEG: close to the original, not the same pixels."""

    def load(self) -> sources.Pictures:
        return sources.cifar10_jpeg(*self.places)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class ImageFolder(ImageData):
    """Any folder of class folders, decoded as needed. `test_fraction` is carved out where there is no test folder;
    exif_orientation: turn photographs as their EXIF tag says; null is as the model's preprocessing says, else true."""

    root: str | None = None
    test_fraction: float = 0.2
    exif_orientation: bool | None = None
    default_size = 224

    def load(self) -> sources.Pictures:
        found = folders.pictures(self.root)
        if found.test is None:
            found.train, found.test = carve(found, self.test_fraction, self.split_seed, "test_fraction")
        return found

    def _shape(self) -> Spec:
        turned = self.handed.get("exif_orientation", True) if self.exif_orientation is None else self.exif_orientation
        return {**super()._shape(), "exif_orientation": turned}
