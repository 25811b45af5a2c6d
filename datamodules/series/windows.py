"""Windows of series: a lookback, and the horizon that follows it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sampling import BatchIndex
from zoo.series import Arrays, Panel, SeriesPreprocess


@dataclass
class Windows(Dataset):
    """The windows of a part; a sample is a dict of tensors, and a batch the same with its size in front (`Arrays.windows`).

    Args:
        arrays: all rows of all series, scaled.
        panel: their clock and names.
        origins: int64 [n, 2], (series, row of the first step that is forecast, counted from the series' first row).
        lookback: rows before it.
        horizon: rows from it on.
        preprocess: what the rows were scaled by.
    """

    arrays: Arrays
    panel: Panel
    origins: Tensor
    lookback: int
    horizon: int
    preprocess: SeriesPreprocess | None = None

    def __post_init__(self):
        self.starts = torch.from_numpy(self.panel.starts[:-1])

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One window, as views of the arrays."""
        series, row = self.origins[number].tolist()
        return self.arrays.window(row + int(self.starts[series]), series, self.lookback, self.horizon)

    def __getitems__(self, draw: BatchIndex | Sequence[int]) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """A batch of our loaders, whole; for torch's own loader, which collates by itself, a list of windows."""
        if not isinstance(draw, BatchIndex):
            return [self[number] for number in draw]
        return self.batch(draw.rows)

    def batch(self, numbers: Tensor | Sequence[int]) -> dict[str, Tensor]:
        """Windows [B] by their numbers."""
        origins = self.origins[numbers]
        series = origins[:, 0]
        return self.arrays.windows(origins[:, 1] + self.starts[series], series, self.lookback, self.horizon)

    def stamp(self, row: int, series: int = 0) -> np.datetime64 | None:
        """The stamp of a series' row, also of one behind its last; None without a clock."""
        found = self.panel.stamps(row, series)
        return None if found is None else np.datetime64(int(found), "us")


def origins(first: int, end: int, lookback: int, horizon: int, stride: int) -> Tensor:
    """Rows of the first forecast step of all windows that forecast rows `first` to `end` of one series, int64 [n].

    The lookback may lie before `first`, not before row 0.
    """
    return torch.arange(max(first, lookback), max(end - horizon + 1, max(first, lookback)), stride)
