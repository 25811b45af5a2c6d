"""The figure of a backtest: errors by origin, and by step of the horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.inspect.plots import new_figure, save
from zoo.inspect.series.errors import Errors
from zoo.inspect.series.plots import COLOURS, DASHES, SAID, clean

POINTS = 400  # origins that a line can show; of more the means of neighbours


def plot_backtest(
    errors: Mapping[str, Errors], times: np.ndarray, label: str, cuts: Sequence[Any], png: str | Path, title: str
) -> Path:
    """Left: each forecaster's mean squared error by the time of the origin, all series together. Right: by step.

    Args:
        errors: by name; the last one stands out.
        times: [n] of each window, numbers or datetime64.
        label: what they are.
        cuts: times at which models were trained anew.
        png: the file to write.
        title: above both.
    """
    figure = new_figure(11.5, 3.9)
    figure.suptitle(f"{title}; z-scored values", fontsize=9)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    left.set_xlabel(label)
    moments, which = np.unique(times, return_inverse=True)
    joined = -(-len(moments) // POINTS)
    for i, (name, each) in enumerate(errors.items()):
        last = i == len(errors) - 1
        style = {"color": SAID, "linewidth": 1.6} if last else {"color": COLOURS[i % 6], "ls": DASHES[i % 6], "lw": 0.9}
        windows = each.windows.numpy()
        there = np.isfinite(windows)
        group = which // joined
        count = np.bincount(group[there], minlength=group.max() + 1)
        means = np.bincount(group[there], windows[there], minlength=len(count)) / np.where(count, count, np.nan)
        left.plot(moments[::joined], means, label=name, marker="o" if len(means) < 3 else None, **style)
        steps = range(1, each.squared.shape[1] + 1)
        right.plot(
            steps, each.mse(1).numpy(), label=f"{name}   {float(each.mse()):.3f}",
            marker="o" if len(steps) < 3 else None, **{**style, "linewidth" if last else "lw": 1.6},
        )  # fmt: skip
    for i, cut in enumerate(cuts):
        left.axvline(cut, color="#999999", linewidth=0.8, ls=":", label="trained anew" if i == 0 else None)
    mean = f", mean of {joined} neighbours" if joined > 1 else ""
    left.set(ylabel=f"MSE of the window{mean}", ylim=(0, None))
    right.set(xlabel="step of the horizon", ylabel="MSE", ylim=(0, None))
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, fontsize=8, title="mean MSE", title_fontsize=8)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1)}  # where no line runs through it
    left.legend(frameon=False, fontsize=8, ncols=len(errors) + bool(cuts), **above)
    for axes in (left, right):
        clean(axes)
    for text in left.get_xticklabels():
        text.set(rotation=20, ha="right")
    return save(figure, png)
