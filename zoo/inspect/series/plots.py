"""Figures of forecasts: beside what came, by step of the horizon, and whether their probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from zoo.inspect.plots import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANNELS = 4  # that a figure shows; more would be too small to see
SEEN, SAID, BAND = "#333333", "#dd8452", "#f2c9ad"
COLOURS = ("#4c72b0", "#55a868", "#8172b3", "#c44e52", "#937860", "#da8bc3")  # of what stands beside the model
STEPS = "steps from the last row read"  # what an axis of time counts, as attention maps do
DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))


class Window(NamedTuple):
    """A window as it is drawn, in one unit; NaN where nothing was observed.

    title: what stands above it. history: [L, C]. future: [H, C], None where nobody knows it yet. mean: [H, C].
    low, high: ends of the band [H, C], None without one.
    """

    title: str
    history: Tensor
    future: Tensor | None
    mean: Tensor
    low: Tensor | None = None
    high: Tensor | None = None


def plot_forecasts(
    windows: Sequence[Window], names: Sequence[str], png: str | Path, title: str, units: str = "data's units"
) -> Path:
    """A column a window, a row a channel (the first 4): what was observed, and the forecast with its band.

    Of a long history the last steps are shown, three times the horizon.

    Args:
        windows: of one length and horizon.
        names: of the channels.
        png: the file to write.
        title: above all.
        units: of the values, on the axis.
    """
    rows, columns = min(len(names), CHANNELS), len(windows)
    figure = new_figure(max(2.5 * columns, 5.0) + 0.6, 1.7 * rows + 1.2)
    more = f"; {rows} of {len(names)} channels" if len(names) > rows else ""
    figure.suptitle(title + more, fontsize=9)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey="row")
    for row, axes in enumerate(grid):
        for window, one in zip(windows, axes, strict=True):
            draw_window(one, window, row)
            if row == 0:
                one.set_title(window.title, fontsize=8)
            if row == rows - 1:
                one.set_xlabel(STEPS, fontsize=8)
        axes[0].set_ylabel(f"{names[row]}\n({units})", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return save(figure, png)


def draw_window(axes: Axes, window: Window, channel: int, most: int | None = None) -> None:
    """One channel of a window: time runs from the history, whose last row stands at 0, to the horizon.

    most: steps of history that are shown; None: three times the horizon.
    """
    horizon = len(window.mean)
    shown = min(len(window.history), most or max(3 * horizon, 24))
    past = window.history[-shown:, channel]
    axes.plot(range(1 - shown, 1), past.numpy(), color=SEEN, linewidth=1, label="observed", **_dots(past))
    after = range(1, horizon + 1)
    if window.low is not None and window.high is not None:
        low, high = window.low[:, channel].numpy(), window.high[:, channel].numpy()
        axes.fill_between(after, low, high, color=BAND, linewidth=0, label="80 % band")
    if window.future is not None:
        future = window.future[:, channel]
        axes.plot(after, future.numpy(), color=SEEN, linewidth=1, alpha=0.75, zorder=3, **_dots(future))
    mark = "o" if horizon == 1 else None
    axes.plot(after, window.mean[:, channel].numpy(), color=SAID, linewidth=1.4, marker=mark, ms=3, label="forecast")
    axes.axvline(0.5, color="#999999", linewidth=0.6)
    clean(axes)


def plot_errors(
    by_step: Mapping[str, tuple[Tensor, Tensor]], png: str | Path, title: str, means: Mapping[str, tuple[float, float]]
) -> Path:
    """Mean squared and mean absolute error against the step of the horizon, a line a forecaster; the last one stands out.

    Args:
        by_step: (MSE [H], MAE [H]) by name.
        png: the file to write.
        title: above both.
        means: (MSE, MAE) over all steps, told beside the names.
    """
    figure = new_figure(9.0, 3.8)
    figure.suptitle(title, fontsize=9)
    for which, (axes, word) in enumerate(zip(figure.subplots(1, 2), ("MSE", "MAE"), strict=True)):
        for i, (name, values) in enumerate(by_step.items()):
            last = i == len(by_step) - 1
            steps = range(1, len(values[which]) + 1)
            style = {"color": SAID, "linewidth": 2.0} if last else {"color": COLOURS[i % 6], "ls": DASHES[i % 6]}
            label = f"{name}   {means[name][which]:.3f}"
            axes.plot(steps, values[which].numpy(), label=label, marker="o" if len(steps) < 3 else None, **style)
        axes.set(xlabel="step of the horizon", ylabel=f"{word} of z-scored values", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8, title=f"mean {word}", title_fontsize=8)
        clean(axes)
    return save(figure, png)


def plot_calibration(levels: Tensor, below: Tensor, coverage: Tensor, png: str | Path, title: str) -> Path:
    """Left: how often what came lies below each quantile, which should be its level. Right: how often it lies within the band
    from .1 to .9, step by step.

    Args:
        levels: [n] in (0, 1).
        below: [n] shares of observed cells.
        coverage: [H] shares of observed cells within the band.
        png: the file to write.
        title: above both.
    """
    figure = new_figure(8.4, 3.9)
    figure.suptitle(title, fontsize=9)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, label="as promised")
    left.plot(levels.numpy(), below.numpy(), "o-", color=SAID, linewidth=1.6, markersize=4, label="measured")
    left.set(
        xlabel="level of the quantile", ylabel="share of values below it", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )
    steps = range(1, len(coverage) + 1)
    right.axhline(0.8, color="#999999", linewidth=0.8, label="as promised: 80 %")
    right.plot(steps, coverage.numpy(), color=SAID, marker="o" if len(steps) < 3 else None, label="measured")
    right.set(xlabel="step of the horizon", ylabel="share of values within the 80 % band", ylim=(0, 1.02))
    right.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        clean(axes)
    return save(figure, png)


def clean(axes: Axes) -> None:
    """Few lines around, small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    axes.tick_params(labelsize=7)


def _dots(values: Tensor) -> dict[str, Any]:
    """Small dots where gaps leave single points that no line would show."""
    return {"marker": ".", "markersize": 2.5} if bool(values.isnan().any()) else {}
