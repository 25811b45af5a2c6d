"""A model that keeps the contract of zoo.models.base and is small enough to train in a test."""

import copy

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from zoo.models import ImageModel
from zoo.tasks.image_classification import ImageClassification

ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-2, "weight_decay": 0.1}
COSINE = {"_target_": "zoo.tasks.schedule.WarmupCosine", "_partial_": True, "warmup": 0.25, "floor": 0.1}


class Tiny(ImageModel):
    """A patch embedding with a token and positions, one block with batch norm and dropout, a norm, a head."""

    def __init__(self, classes: int = 3, dim: int = 8):
        super().__init__()
        self.num_classes = classes
        self.embed = nn.Conv2d(1, dim, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.position = nn.Parameter(torch.randn(1, 5, dim) * 0.02)
        self.mix = nn.Linear(dim, dim)
        self.batch_norm = nn.BatchNorm1d(5)
        self.dropout = nn.Dropout(0.1)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        x = x + self.dropout(self.mix(self.batch_norm(x)).relu())
        return self.head(self.norm(x).mean(1))

    def no_weight_decay(self):
        return {"token", "position"}

    def layer_groups(self):
        names = [name for name, _ in self.named_parameters()]
        parts = [("embed.", "token", "position"), ("mix.", "batch_norm."), ("norm.", "head.")]
        return [[name for name in names if name.startswith(part)] for part in parts]


def data(n: int = 23, seed: int = 0) -> TensorDataset:
    """n images of 4 x 4 whose class shifts their mean."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=g)
    return TensorDataset(torch.randn(n, 1, 4, 4, generator=g) + labels.view(-1, 1, 1, 1), labels)


def loader(n: int = 23, batch: int = 8, **kwargs) -> DataLoader:
    return DataLoader(data(n), batch, **kwargs)


def make_task(model: nn.Module | None = None, **kwargs) -> ImageClassification:
    """A task on a model with fixed initial weights."""
    torch.manual_seed(0)
    return ImageClassification(model or Tiny(), **{"optimizer": ADAMW, **kwargs})


def make_trainer(epochs: int = 1, **kwargs) -> Trainer:
    """A quiet trainer on one CPU that writes nothing unless told to."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": epochs}
    saves = any(isinstance(callback, ModelCheckpoint) for callback in kwargs.get("callbacks", []))
    quiet |= {"enable_checkpointing": saves, "accelerator": "cpu", "devices": 1}
    return Trainer(**{**quiet, "num_sanity_val_steps": 0, **kwargs})


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
