"""The name under which configs of earlier versions know `zoo.models.vision.cnn`."""

from zoo.models.vision.cnn import CNN

__all__ = ["CNN"]
