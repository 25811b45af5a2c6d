"""The name under which configs of earlier versions know `zoo.models.vision.vit`."""

from zoo.models.vision.vit import ViT

__all__ = ["ViT"]
