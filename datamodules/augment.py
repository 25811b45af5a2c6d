"""The place of old: configs and checkpoints name `datamodules.augment.Augment`."""

from datamodules.images.augment import Augment

__all__ = ["Augment"]
