"""Series as a model reads them, z-scored, and windows of them: views of one array, gathered a batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Arrays:
    """Rows of all series, one behind the other.

    Args:
        values: float32 [N, C], targets; 0 where nothing was observed.
        observed: bool [N, C]; None: all of it.
        time: float32 [N, F], calendar features.
        past: float32 [N, P], columns known up to the moment of a forecast.
        future: float32 [N, K], columns known beforehand.
        static_categories: int64 [S, columns], of each series.
        static_reals: float32 [S, columns].
    """

    values: Tensor
    observed: Tensor | None = None
    time: Tensor | None = None
    past: Tensor | None = None
    future: Tensor | None = None
    static_categories: Tensor | None = None
    static_reals: Tensor | None = None

    def windows(
        self, rows: Tensor, series: Tensor, lookback: int, horizon: int, targets: bool = True
    ) -> dict[str, Tensor]:
        """Windows whose first forecast rows are `rows` [B], of `series` [B].

        Args:
            targets: whether `future_values` and their mask are told.

        Returns: past_values [B, L, C], future_values [B, H, C], past_observed_mask, future_observed_mask (bool),
        past_time_features [B, L, F], future_time_features [B, H, F], past_covariates [B, L, P], future_covariates
        [B, L + H, K], static_categorical_features [B, S], static_real_features [B, R]; those there are.
        """
        before = rows - lookback
        made = {"past_values": _stretches(self.values, before, lookback)}
        if targets:
            made["future_values"] = _stretches(self.values, rows, horizon)
        for name, first, length in (("past", before, lookback), ("future", rows, horizon)):
            if name == "past" or targets:
                made[f"{name}_observed_mask"] = (
                    torch.ones(len(rows), length, self.values.shape[1], dtype=torch.bool)
                    if self.observed is None
                    else _stretches(self.observed, first, length)
                )
            if self.time is not None:
                made[f"{name}_time_features"] = _stretches(self.time, first, length)
        if self.past is not None:
            made["past_covariates"] = _stretches(self.past, before, lookback)
        if self.future is not None:
            made["future_covariates"] = _stretches(self.future, before, lookback + horizon)
        if self.static_categories is not None:
            made["static_categorical_features"] = self.static_categories[series]
        if self.static_reals is not None:
            made["static_real_features"] = self.static_reals[series]
        return made

    def window(self, row: int, series: int, lookback: int, horizon: int) -> dict[str, Tensor]:
        """One window, without the batch: views of the arrays."""
        past, future = slice(row - lookback, row), slice(row, row + horizon)
        observed = self.observed
        if observed is None:
            observed = torch.ones(1, 1, dtype=torch.bool).expand(self.values.shape)
        made = {
            "past_values": self.values[past],
            "future_values": self.values[future],
            "past_observed_mask": observed[past],
            "future_observed_mask": observed[future],
        }
        if self.time is not None:
            made |= {"past_time_features": self.time[past], "future_time_features": self.time[future]}
        if self.past is not None:
            made["past_covariates"] = self.past[past]
        if self.future is not None:
            made["future_covariates"] = self.future[row - lookback : row + horizon]
        if self.static_categories is not None:
            made["static_categorical_features"] = self.static_categories[series]
        if self.static_reals is not None:
            made["static_real_features"] = self.static_reals[series]
        return made


def _stretches(values: Tensor, rows: Tensor, length: int) -> Tensor:
    """[B, length, C]: rows of [N, C] from each of `rows` on. Windows are a view, of which the batch's are copied."""
    count, width = values.shape
    views = values.as_strided((count - length + 1, length * width), (width, 1))
    return views[rows].view(len(rows), length, width)


def stacked(windows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of windows."""
    return {name: torch.stack([window[name] for window in windows]) for name in windows[0]}
