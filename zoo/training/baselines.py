"""What stands beside a forecaster's figures: the last value, the last season, a ridge regression on the same test windows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.files import write_text

FILE = "baselines.csv"
FIGURES = ("mse", "mae", "mase")
Rows = Mapping[str, Mapping[str, float]]


def beside_forecasts(task: Any, metrics: Mapping[str, float], data: Any) -> dict[str, dict[str, float]]:
    """{"repeat_last": {"mse", "mae", "mase"}, ..., "model": {...}} of the test windows; empty where no forecast was tested.

    Args:
        task, metrics, data: of the run.
    """
    if not task.forecasts or "test/mse" not in metrics:
        return {}
    from zoo.series.baselines import baselines, score  # which imports torch, and --help must not wait for it

    model = {name: metrics[f"test/{name}"] for name in FIGURES if f"test/{name}" in metrics}
    return {**score(baselines(data), data.dataset("test"), data.mase_scale), "model": model}


def write_baselines(folder: Path, rows: Rows) -> None:
    """baselines.csv in a run's folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("forecast", *FIGURES))
    for name, figures in rows.items():
        writer.writerow((name, *(f"{figures[each]:.6g}" if each in figures else "" for each in FIGURES)))
    write_text(folder / FILE, text.getvalue())


def baselines_table(rows: Rows, stride: int = 1) -> Any:
    """The same for a terminal; what is less than the model's figure says so, and a stride of the windows."""
    from rich.table import Table

    which = "test windows" if stride == 1 else f"each {stride}th test window (data.eval_stride)"
    title = f"{which}, on the scale of the training rows"
    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    for name in ("", *FIGURES, ""):
        table.add_column(name, justify="left" if not name else "right")
    for name, figures in rows.items():
        less = [each for each in FIGURES if each in figures and figures[each] < rows["model"].get(each, 0)]
        said = f"less than the model's {', '.join(less)}" if less else ""
        table.add_row(name, *(f"{figures[each]:.4f}" if each in figures else "" for each in FIGURES), said)
    return table
