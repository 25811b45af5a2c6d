"""A small model with a complete card, and zoos of it."""

from pathlib import Path

import torch

import zoo
from zoo.catalog import card, index, publish
from zoo.pretrained import probe

CONFIG = {
    "_target_": "zoo.models.vit.ViT", "img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "dim": 8, "depth": 1,
    "num_heads": 2,
}  # fmt: skip
WHOLE = {
    "name": "vit.mine", "task": "image_classification",
    "data": {"name": "digits", "source": "UCI", "licence": "CC-BY-4.0", "config": {"_target_": "datamodules.images.Digits"}},
    "task_config": {"_target_": "zoo.tasks.Classification"}, "licence": "MIT",
    "metric": {
        "name": "test/accuracy", "direction": "max", "value": 0.9875, "samples": 360, "mean": 0.98, "std": 0.004,
        "seeds": [0, 1],
    },
    "baseline": {"name": "softmax regression", "value": 0.94}, "published": {"value": 0.99, "source": "a paper"},
    "seed": 0, "chosen": "seed 0, before any was tested", "command": "python train.py", "training_seconds": 12.5,
    "intended_use": "To be read by tests.", "limits": "Digits of 8 x 8 pixels alone.",
}  # fmt: skip


def model_folder(folder: Path, **about) -> Path:
    """A model folder of a ViT with 8 x 8 pixels."""
    return zoo.save(model(), folder, **about)


def model() -> torch.nn.Module:
    """The ViT, always with the same weights."""
    torch.manual_seed(0)
    return zoo.build(CONFIG)


WHOLE["probe"] = probe.make(model())


def summary(**told) -> dict:
    """One of an index, null but for what is told."""
    return {**dict.fromkeys(index.SUMMARY), **told}


def shelf(folder: Path) -> Path:
    """A zoo of vit.mine, with a complete card."""
    source = model_folder(folder.with_name("source"), **WHOLE)
    read = card.read(source)
    assert read is not None
    publish.publish(source, read, folder)
    return folder
