"""A forecaster and series that are small enough to train in a test."""

import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, Dataset

from zoo.models.series.base import Forecaster
from zoo.models.series.heads import Head


class Straight(Forecaster):
    """One linear map of the lookback, shared by the channels."""

    def __init__(self, channels: int, lookback: int, horizon: int, head: Head | None = None):
        super().__init__(channels, lookback, horizon, head)
        self.proj = nn.Linear(lookback, horizon * self.head.width)

    def forward(self, past_values, past_time_features=None, future_time_features=None, past_observed_mask=None, **more):
        self.check_inputs(past_values, past_observed_mask, **more)
        raw = self.proj(past_values.transpose(1, 2)).unflatten(-1, (self.horizon, self.head.width))
        return self.head(raw.transpose(1, 2))

    def inputs(self, batch):
        return super().inputs(batch)[:4]


class Windows(Dataset):
    """All windows of [T, C] that forecast rows first to last."""

    def __init__(self, values, lookback, horizon, first=0, last=None, observed=None):
        self.values, self.lookback, self.horizon = values, lookback, horizon
        self.observed = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
        self.origins = range(max(first, lookback), (len(values) if last is None else last) - horizon + 1)

    def __len__(self):
        return len(self.origins)

    def __getitem__(self, i):
        at = self.origins[i]
        past, future = slice(at - self.lookback, at), slice(at, at + self.horizon)
        found = {"past_values": self.values[past], "future_values": self.values[future]}
        return found | {"past_observed_mask": self.observed[past], "future_observed_mask": self.observed[future]}


class Series(LightningDataModule):
    """The first .6 of [T, C] are for training, the next .2 for validation."""

    def __init__(self, values, lookback=6, horizon=3, batch_size=32, spec=None, observed=None):
        super().__init__()
        a, b = int(len(values) * 0.6), int(len(values) * 0.8)
        parts = {"train": (0, a), "val": (a, b), "test": (b, len(values))}
        self.sets = {name: Windows(values, lookback, horizon, *part, observed) for name, part in parts.items()}
        self.batch_size, self.spec = batch_size, spec

    @property
    def val_size(self):
        return len(self.sets["val"])

    def dataset(self, stage):
        return self.sets[stage]

    def train_dataloader(self):
        return DataLoader(self.sets["train"], self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.sets["val"], self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.sets["test"], self.batch_size)


def autoregression(n: int, rho: float = 0.7, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """[n, channels] of x_t = rho x_t-1 + noise, with variance 1."""
    noise = torch.randn(n, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = noise.clone()
    for t in range(1, n):
        x[t] = rho * x[t - 1] + (1 - rho**2) ** 0.5 * noise[t]
    return x.float()


def windows(n):
    """Windows of which some cells were not observed; the first window of none."""
    g = torch.Generator().manual_seed(1)
    observed = torch.rand(n, 3, 2, generator=g) < 0.7
    observed[0] = False
    future = torch.randn(n, 3, 2, generator=g).masked_fill(~observed, 0)
    return {"past_values": torch.randn(n, 6, 2, generator=g), "future_values": future, "future_observed_mask": observed}
