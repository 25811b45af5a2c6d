"""The figures of a run of a forecaster: forecasts, errors by step, what it attends to, whether its probabilities hold."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.inspect.series.errors import Errors, batches, forecasts_of, measure, moved, notable, observed_of
from zoo.inspect.series.looks import forecast_of
from zoo.inspect.series.plots import Window
from zoo.models.series.heads import LEVELS
from zoo.series.frequencies import shown


class SeriesFigures:
    """Draws from the test windows of a trainer; what is measured on all of them is measured once."""

    def __init__(self) -> None:
        self._errors: dict[str, Errors] | None = None

    def draws(self) -> list[Callable]:
        """What there is to draw of a forecaster; each is called with trainer, task and file."""
        return [self.forecasts, self.error_by_step, self.attention_maps, self.calibration]

    def forecasts(self, trainer: Any, task: Any, png: Path) -> None:
        """The first, last, best, median and worst test window, in the data's units."""
        from zoo.inspect.series.plots import plot_forecasts

        data, measured = windows_of(trainer), self.errors(trainer, task)["model"]
        errors = measured.windows
        chosen = notable(errors)
        names, units = names_of(task.model), units_of(task.model)
        drawn = []
        for word, i in chosen.items():
            title = f"{word}: window {i:,}\n{begins(data, i)}\nMSE {errors[i]:.3f}"
            drawn.append(window(task.model, next(batches(data, [i])), title))
        title = f"{len(chosen)} of {counted(trainer, measured)}; MSE of z-scored values"
        plot_forecasts(drawn, names, png, title, units)

    def error_by_step(self, trainer: Any, task: Any, png: Path) -> None:
        """MSE and MAE of the model and of the baselines, by step."""
        from zoo.inspect.series.plots import plot_errors

        errors = self.errors(trainer, task)
        by_step = {name: (each.mse(1), each.mae(1)) for name, each in errors.items()}
        means = {name: (float(each.mse()), float(each.mae())) for name, each in errors.items()}
        title = f"errors by step of the horizon, {counted(trainer, errors['model'])}, z-scored values"
        plot_errors(by_step, png, title, means)

    def attention_maps(self, trainer: Any, task: Any, png: Path) -> None:
        """The last layer's heads on the median window."""
        from zoo.inspect.series.looks import maps_of, plot_maps, read

        data, i = windows_of(trainer), notable(self.errors(trainer, task)["model"].windows).get("median", 0)
        _, recorded = read(task.model, next(batches(data, [i])))
        maps = maps_of(task.model, recorded, names_of(task.model))
        plot_maps(maps, png, f"how much each row reads of each column, test window {i:,} (the median error)")

    def calibration(self, trainer: Any, task: Any, png: Path) -> None:
        """How often what came lies below each quantile, and within the 80 % band."""
        from zoo.inspect.series.plots import plot_calibration

        if task.model.intervals(forecast_of(task.model, next(batches(windows_of(trainer), [0]))), LEVELS) is None:
            raise ZooError(f"head={type(task.model.head).__name__} gives no probabilities.")
        below, inside, count = calibration_of(task.model, windows_of(trainer))
        title = f"calibration, {int(count.sum()):,} observed values of the test windows"
        plot_calibration(torch.tensor(LEVELS), below, inside, png, title)

    def errors(self, trainer: Any, task: Any) -> dict[str, Errors]:
        """Of the baselines, where the training rows are at hand, and of the model."""
        if self._errors is None:
            from zoo.series.baselines import baselines

            plain = baselines(trainer.datamodule) if trainer.datamodule is not None else {}
            self._errors = measure({**plain, "model": forecasts_of(task.model)}, windows_of(trainer))
        return self._errors


def windows_of(trainer: Any) -> Any:
    """The data set of the test windows: the data module's, or that of the loader that was given."""
    if trainer.datamodule is not None:
        return trainer.datamodule.test_dataloader().dataset
    loader = trainer.test_dataloaders
    dataset = getattr(loader[0] if isinstance(loader, list) else loader, "dataset", None)
    if dataset is None:
        raise ZooError("the test windows are not in a DataLoader's dataset, so they cannot be looked at one by one.")
    return dataset


def names_of(model: Any) -> list[str]:
    """Names of the channels, their numbers where nobody has told."""
    known = model.preprocess
    return list(known.targets) if known is not None else [f"channel {c}" for c in range(model.channels)]


def units_of(model: Any) -> str:
    """What the values of a figure are in."""
    return "z-scored" if model.preprocess is None else "data's units"


def begins(data: Any, i: int) -> str:
    """What a window's first forecast is stamped with, behind the name of its series where there are several."""
    if not hasattr(data, "origins"):
        return ""
    series, row = data.origins[i].tolist()
    stamp = data.stamp(row, series)
    when = f"row {row + 1}" if stamp is None else shown(np.datetime64(stamp, "us").astype(np.int64))
    return f"{data.panel.ids[series]}, {when}" if len(data.panel.ids) > 1 else when


def counted(trainer: Any, errors: Errors) -> str:
    """How many test windows there are, and which of all, where not all are taken."""
    stride = getattr(trainer.datamodule, "eval_stride", 1)
    return f"{len(errors.windows):,} test windows" + (f" (data.eval_stride={stride})" if stride > 1 else "")


def window(model: Any, batch: Mapping[str, Tensor], title: str) -> Window:
    """One window [1, ...] with its forecast as it is drawn, in the data's units where the model knows them."""
    nan = float("nan")
    decode = model.preprocess.decode if model.preprocess is not None else _as_it_is
    history, future = (
        decode(batch[f"{part}_values"][0]).where(observed_of(batch, part)[0], nan) for part in ("past", "future")
    )
    forecast = forecast_of(model, batch)
    band = model.intervals(forecast, (0.1, 0.9))
    low, high = (None, None) if band is None else (decode(band[0, ..., i]) for i in (0, 1))
    return Window(title, history, future, decode(forecast.mean[0]), low, high)


@torch.no_grad()
def calibration_of(model: Any, data: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(shares of observed values at or below each of LEVELS, shares within .1 to .9 by step [H], observed values [H])."""
    device = next(model.parameters()).device
    below = torch.zeros(len(LEVELS), dtype=torch.float64)
    inside, count = torch.zeros(2, model.horizon, dtype=torch.float64)
    model.eval()
    for batch in batches(data):
        forecast = model.forward(*model.inputs(moved(batch, device)))
        quantiles = model.intervals(forecast, LEVELS).float().cpu()
        target, seen = batch["future_values"].unsqueeze(-1), observed_of(batch, "future")
        under = (target <= quantiles) & seen.unsqueeze(-1)
        within = (target[..., 0] >= quantiles[..., 0]) & (target[..., 0] <= quantiles[..., -1]) & seen
        below += under.sum((0, 1, 2)).double()
        inside, count = inside + within.sum((0, 2)).double(), count + seen.sum((0, 2)).double()
    return below / count.sum(), inside / count, count


def _as_it_is(values: Tensor) -> Tensor:
    return values
