"""Images: `data=digits`, `fashion_mnist`, `mnist`, `cifar10`, `cifar10_jpeg`, `imagefolder`. A batch: (images, labels)."""

from datamodules.images.augment import Augment
from datamodules.images.module import ImageData
from datamodules.images.sets import CIFAR10, CIFAR10JPEG, MNIST, Digits, FashionMNIST, ImageFolder
from datamodules.images.sources import ImageArrays

__all__ = [
    "CIFAR10", "CIFAR10JPEG", "MNIST", "Augment", "Digits", "FashionMNIST", "ImageArrays", "ImageData", "ImageFolder",
]  # fmt: skip
