"""What all sets of series share: a clock, a scale, windows. A set says only which table it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import DataModule, one_of
from datamodules.series.parts import Parts, check, parts
from datamodules.series.windows import Windows, origins
from datamodules.splits import STAGES
from zoo.errors import ZooError
from zoo.series import Arrays, Panel, Roles, SeriesPreprocess, Table, fit, mase_scale, panel, parse
from zoo.series.panel import GAPS
from zoo.spec import SeriesSpec


@dataclass
class Prepared:
    """Series on their clock, scaled by the training rows, and where windows begin."""

    panel: Panel
    preprocess: SeriesPreprocess
    arrays: Arrays
    parts: Parts
    origins: dict[str, Tensor]

    @property
    def splits(self) -> dict[str, Tensor]:
        """Windows of each part, numbered."""
        return {stage: torch.arange(len(each)) for stage, each in self.origins.items()}


@dataclass(kw_only=True, eq=False, repr=False)
class SeriesData(DataModule):
    """Batches of windows: dicts of tensors (`zoo.series.Arrays.windows`); `load` gives a `Table`.

    Each column is z-scored by the training rows' observed cells. Windows of a part forecast its own rows, and may look back
    beyond its first; each is scored, none is dropped.

    Args:
        lookback: rows that a model reads.
        horizon: rows that it forecasts.
        time: the column of stamps; None: rows are in order, and there is no calendar.
        id: the column that says which series a row is of; None: all are one.
        targets: columns that are forecast; None: all of numbers that are left over.
        past, future: columns known up to the moment of a forecast, and beforehand.
        static: columns that are the same in all rows of a series, text or numbers.
        freq: of the rows; None: the commonest step.
        season: rows after which a series is usually as before; None: by the frequency.
        split: training, validation and test: shares in order of time, or numbers of rows.
        stride: rows from a training window to the next.
        eval_stride: likewise of validation and test; figures with more than 1 say so.
        gaps: "refuse" missing stamps and empty cells, or "mask": they are unobserved.
        batch_size: windows of a step. num_workers, seed, split_seed, folder, cache: see `DataModule`.

    Raises: ZooError for settings out of range, and for a table that is not as they say.
    """

    lookback: int = 336
    horizon: int = 96
    time: str | None = None
    id: str | None = None
    targets: Sequence[str] | None = None
    past: Sequence[str] | None = None
    future: Sequence[str] | None = None
    static: Sequence[str] | None = None
    freq: str | None = None
    season: int | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.7, 0.1, 0.2])
    stride: int = 1
    eval_stride: int = 1
    gaps: str = "refuse"

    source: Prepared | None = field(default=None, init=False)
    modality = "series"
    samples = "windows"

    def __post_init__(self):
        super().__post_init__()
        for name, what in (
            ("lookback", "rows that a model reads"),
            ("horizon", "rows that it forecasts"),
            ("season", "rows of a season"),
            ("stride", "rows between training windows"),
            ("eval_stride", "rows between windows of validation and test"),
        ):
            value = getattr(self, name)
            if not (name == "season" and value is None) and (type(value) is not int or value < 1):
                raise ZooError(f"data.{name}={value} is not a number of {what}; give 1 or more.")
        one_of(self.gaps, "gaps", GAPS)
        if self.freq is not None:
            parse(self.freq)
        self.roles = Roles.of(
            **{name: getattr(self, name) for name in ("time", "id", "targets", "past", "future", "static")}
        )

    def use_preprocess(self, preprocess: Any) -> None:
        """Series are scaled by their own training rows, whatever the scale was that weights were trained on."""

    # -- from a table to windows -------------------------------------------------------------------------------------

    def finish(self, source: Table) -> Prepared:
        """The table on its clock, scaled, and its windows."""
        series = panel(source, self.freq, self.gaps)
        found = parts(series, self.split)
        check(found, series, self.split, self.lookback, self.horizon)
        if self.gaps == "refuse":
            series.check_cells(series.roles.numeric)
        season = self.season or (series.frequency.season if series.frequency else 1)
        training = [
            (int(start + a), int(start + b)) for start, (a, b) in zip(series.starts, found["train"], strict=False)
        ]
        preprocess = fit(series, training, self.lookback, self.horizon, season, self.gaps)
        arrays = preprocess.arrays(series)
        series = series.without_cells()
        self.season = season
        where = {
            stage: self._origins(found[stage], self.stride if stage == "train" else self.eval_stride)
            for stage in STAGES
        }
        return Prepared(series, preprocess, arrays, found, where)

    def _origins(self, bounds: np.ndarray, stride: int) -> Tensor:
        made = []
        for number, (first, end) in enumerate(bounds.tolist()):
            rows = origins(first, end, self.lookback, self.horizon, stride)
            made.append(torch.stack([torch.full_like(rows, number), rows], 1))
        return torch.cat(made)

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> SeriesSpec:
        preprocess = self.loaded().preprocess
        about: dict[str, Any] = preprocess.sizes()
        return SeriesSpec(
            **about, season=preprocess.season, freq=preprocess.freq, names=preprocess.targets, preprocess=preprocess
        )

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.spec.lookback

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    @property
    def mase_scale(self) -> Tensor:
        """float32 [C]: the mean absolute difference of training rows a season apart, as scaled; NaN for constant channels."""
        return mase_scale(self.loaded().preprocess)

    def dataset(self, stage: str) -> Windows:
        found = self.loaded()
        return Windows(found.arrays, found.panel, found.origins[stage], self.lookback, self.horizon, found.preprocess)

    windows = dataset

    def identity(self, stage: str) -> list[Tensor]:
        return [self.loaded().origins[stage]]

    def rows_of(self, stage: str) -> Tensor:
        """Rows that windows of a part forecast, ascending, int64; rows of all series are numbered one behind the other."""
        found = self.loaded()
        series, row = found.origins[stage].numpy().T
        first = found.panel.starts[series] + row
        edges = np.zeros(len(found.panel) + 1, np.int64)
        np.add.at(edges, first, 1)
        np.add.at(edges, first + self.horizon, -1)
        return torch.from_numpy(edges.cumsum().nonzero()[0])

    def describe(self) -> str:
        preprocess = self.loaded().preprocess
        names = preprocess.targets
        channels = "1 channel" if len(names) == 1 else f"{len(names)} channels"
        if (count := len(self.loaded().panel.ids)) > 1:
            channels += f" of {count} series"
        scaled = f"{channels}, z-scored by the training rows, {self.lookback} rows to forecast {self.horizon}"
        left = [name for name, scale in zip(names, preprocess.mase_scale, strict=True) if scale is None]
        said = f"; constant from season to season, and left out of MASE: {', '.join(left)}" if left else ""
        if self.eval_stride > 1:
            said += f"; each {self.eval_stride}th window of validation and test (data.eval_stride)"
        return f"{super().describe()} ({scaled}{said})"
