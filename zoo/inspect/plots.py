"""Figures of a run: how it learned, and what it confuses.

Drawn on `Figure` objects, not through pyplot, so no figure stays open and no display or global style is touched.
matplotlib costs half a second of import, so it is imported where something is drawn.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

COLOURS = {"train": "#4c72b0", "val": "#dd8452"}
SHARES = ("accuracy", "f1")  # metrics that are read in per cent
FORMULA = re.compile(r"\$\\mathdefault\{[^$\\]*\}\$")
READABLE = 25  # classes up to which the counts of a confusion matrix can be read
NAMED = 60  # classes up to which their names can


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that lays itself out."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: Figure, png: str | Path) -> Path:
    """Write a figure whole or not at all."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # a class called "$x" is no formula; matplotlib's own numbers on an axis are
        if "$" in text.get_text() and not FORMULA.fullmatch(text.get_text()):
            text.set_parse_math(False)
    png = Path(png)
    with replacing(png) as beside:
        figure.savefig(beside, format="png", dpi=150)
    return png


def read_metric(csv_path: str | Path, name: str) -> tuple[list[float], list[float]]:
    """(epochs, counted from 1; values) of one metric of a metrics.csv; the last value where an epoch has several."""
    with open(csv_path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(name) and row.get("epoch")]
    by_epoch = {float(row["epoch"]) + 1: float(row[name]) for row in rows}
    epochs = sorted(by_epoch)
    return epochs, [by_epoch[epoch] for epoch in epochs]


def learning_curves(
    csv_path: str | Path, png: str | Path, metric: str = "accuracy", mode: str = "max", chosen: float | None = None
) -> Path:
    """The loss and a metric over the epochs, training and validation, from a run's metrics.csv.

    Where the metric has no training values, as with mixed images, which have no one right class, the figure says so.

    Args:
        csv_path: the run's metrics.csv.
        png: the file to write.
        metric: its name without the part: "accuracy" for val/accuracy.
        mode: "max" or "min", which of its validation values is the best.
        chosen: the epoch that is marked, from 1, as best.ckpt's; None, where that is not known (a run that goes on from a
            checkpoint of an earlier version): the best validation value's, of equals the latest.
    """
    metrics = list(dict.fromkeys(["loss", metric]))
    figure = new_figure(4.5 * len(metrics), 3.6)
    mixed = bool(read_metric(csv_path, f"val/{metric}")[0]) and not read_metric(csv_path, f"train/{metric}")[0]
    names = {"train": "training, on mixed labels" if mixed else "training", "val": "validation"}
    for axes, name in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        for part, colour in COLOURS.items():
            epochs, values = read_metric(csv_path, f"{part}/{name}")
            if epochs:
                marker = "o" if len(epochs) < 3 else None
                axes.plot(epochs, values, color=colour, label=names[part], linewidth=1.8, marker=marker)
        _clean(axes)
        axes.set(xlabel="epoch", title=name.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.lines:
            axes.legend(frameon=False)
        if name == metric:
            if share := any(word in metric for word in SHARES):
                axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            _mark(axes, *read_metric(csv_path, f"val/{metric}"), mode, share, chosen)
            if mixed:
                axes.set_xlabel("epoch\nno training curve: mixed images have no one right class")
    return save(figure, png)


def confusion_matrix(matrix: Tensor, classes: Sequence[str], png: str | Path) -> Path:
    """Counts [true, predicted]; the colour is the share of the true class, the text the count.

    Args:
        matrix: [C, C] counts, rows the true class.
        classes: C names.
    """
    n = len(classes)
    counts = matrix.long().cpu()
    share = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    side = min(max(3.5, 0.42 * n), 14)
    figure = new_figure(side + 1.2, side + 0.6)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if n <= READABLE:
        for i, row in enumerate(counts.tolist()):
            for j, count in enumerate(row):
                if count:
                    colour = "white" if share[i, j] > 0.5 else "#333333"
                    axes.text(j, i, count, ha="center", va="center", fontsize=8, color=colour)
    if n <= NAMED:
        slanted: dict[str, Any] = (
            {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, classes)) > 3 else {}
        )
        axes.set_xticks(range(n), classes, fontsize=8, **slanted)
        axes.set_yticks(range(n), classes, fontsize=8)
    right, total = int(counts.diagonal().sum()), int(counts.sum())
    axes.set(xlabel="predicted", ylabel="true", title=f"{right} of {total} right ({100 * right / max(total, 1):.1f} %)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    return save(figure, png)


def _mark(
    axes: Axes, epochs: list[float], values: list[float], mode: str, share: bool, chosen: float | None = None
) -> None:
    """A dot and the figure at the chosen epoch's value."""
    if not values:
        return
    sign = 1 if mode == "max" else -1
    best = max(range(len(values)), key=lambda at: (sign * values[at], at))
    at = epochs.index(chosen) if chosen in epochs else best
    axes.plot(epochs[at], values[at], "o", color=COLOURS["val"], markersize=5)
    text, place = f"{100 * values[at]:.1f} %" if share else f"{values[at]:.4g}", (epochs[at], values[at])
    away = (0, -14 if mode == "max" else 6)
    axes.annotate(text, place, away, textcoords="offset points", ha="center", fontsize=9, color=COLOURS["val"])


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
