"""Does the future, or a neighbour in the batch, decide a forecast? A line a guard; exit code 1 where one breaks.

    python -m zoo report leaks model=patchtst data=nyc_weather
    python -m zoo report leaks run=runs/<a run>                  the trained model, on the data of its run

In Python `zoo.reports.leaks.check(model, data)`.

Guards of the model: what stands in `future_values` does not move a forecast, nor does another window of the batch, the batch's
size, or a global seed; the newest value does, with the statistics of RevIN held, by which each value moves everything. Of the
data: targets and past-only columns from the first forecast row on, set to noise in the table, do not move the window that
forecasts them; rows behind the training part do not move the scaler; no target row is in two parts. Of the figures: each window
counts once, and at batches of 1, 32 and 512 to the same figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoo.errors import ZooError, one_line
from zoo.reports.leaks import of_data, of_figures, of_models
from zoo.reports.leaks.seen import Broken, as_it_was


class Guard(NamedTuple):
    """name: what must hold. broken: what was seen where it does not; None where it holds. seen: how it was looked at."""

    name: str
    broken: str | None
    seen: str


def check(model: Any, data: Any) -> list[Guard]:
    """Every guard, in the order of `GUARDS`.

    Args:
        model: a `zoo.models.series.Forecaster`, trained or not; left as it is.
        data: a data module of series that was set up; left as it is.

    Raises: ZooError for a model or data of another kind, or data without test windows.
    """
    if "series" not in getattr(model, "reads", ()) or "series" not in getattr(data, "modalities", ()):
        raise ZooError(
            f"leaks looks at forecasters and series; got {type(model).__name__} and {type(data).__name__}: take "
            "model=patchtst data=nyc_weather or the like."
        )
    if not getattr(model, "forecasts", True):
        raise ZooError(
            f"this {type(model).__name__} fills in what was hidden and forecasts nothing; take task=forecasting."
        )
    if not data.test_size:
        raise ZooError("the data has no test windows to look at; give it a test part (data.split).")
    return [_tried(name, guard, model, data) for name, guard in GUARDS.items()]


def _tried(name: str, guard: Callable[[Any, Any], str], model: Any, data: Any) -> Guard:
    with as_it_was(model):
        try:
            return Guard(name, None, guard(model, data))
        except Broken as broken:
            return Guard(name, str(broken), "")
        except Exception as error:  # of a model that cannot do what the guard asks of every one
            return Guard(name, f"{type(error).__name__}: {one_line(error, 300)}", "")


@dataclass(frozen=True)
class Settings:
    """run: its folder. data: the table, in place of the one that the run names. trust: your packages that it may name."""

    run: str
    data: str | None = None
    trust: tuple[str, ...] = ()


GUARDS: dict[str, Callable[[Any, Any], str]] = {
    "what came is not read": of_models.future_values_move_nothing,
    "windows of a batch are apart": of_models.neighbours_move_nothing,
    "the newest value is read": of_models.newest_value_moves,
    "nothing is drawn in eval mode": of_models.seeds_move_nothing,
    "later rows of the table are not read": of_data.later_rows_move_no_window,
    "the scaler knows training rows alone": of_data.later_rows_move_no_scaler,
    "parts share no target row": of_data.parts_share_no_target,
    "each window counts once": of_figures.each_window_counts_once,
}


def run(words: Sequence[str]) -> None:
    """Check the model and data of a command line, print a line a guard. Ends the program with 1 where one breaks."""
    from zoo.console import table

    model, data, title = _trained(words) if any(word.startswith("run=") for word in words) else _composed(words)
    guards = check(model, data)
    table([("ok" if each.broken is None else "BROKEN", each.name, each.broken or each.seen) for each in guards], title)
    if any(each.broken is not None for each in guards):
        raise SystemExit(1)


def _composed(words: Sequence[str]) -> tuple[Any, Any, str]:
    """Model and data as train.py would build them, untrained."""
    import torch

    from zoo import conf
    from zoo.config import instantiate, plain
    from zoo.models.fit import check_reads
    from zoo.training import folders
    from zoo.training.checks import check_config
    from zoo.training.run import make_task

    folders.register()
    config = plain(conf.compose_train(["model=patchtst", "paths.run=.", *words]))
    check_config(config)
    data = instantiate(config["data"])
    check_reads(config["model"], data.modalities, type(data).__name__)
    data.setup()
    torch.manual_seed(config["seed"])
    task, _ = make_task(config, data)
    return task.model, data, f"leaks: {type(task.model).__name__}, untrained, on {data.describe()}"


def _trained(words: Sequence[str]) -> tuple[Any, Any, str]:
    """The model of a run and the data that it was trained on."""
    from zoo.reports.of_run import of_run
    from zoo.reports.settings import read_settings

    settings = read_settings(words, Settings)
    model, data, _ = of_run(settings.run, settings.data, settings.trust)
    return model, data, f"leaks: {settings.run} on {data.describe()}"
