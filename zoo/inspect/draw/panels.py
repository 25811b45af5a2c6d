"""The look that all pictures of parts share: a titled figure, a matrix with its colours explained."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from zoo.inspect.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

INK, GREY = "#222222", "#777777"
DIVERGING, RISING = "RdBu_r", "viridis"
GRIDDED = 40  # rows up to which a matrix shows its cells


def titled(width: float, height: float, title: str, words: str = "") -> Figure:
    """An empty figure under a title and what explains it, in lines that fit."""
    lines = [line for text in (title, words) for line in textwrap.wrap(text, int(width * 12.5))]
    figure = new_figure(width, height + 0.25 + 0.2 * len(lines))
    # One text in two sizes does not exist in matplotlib; a constrained layout keeps room for the suptitle only.
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    figure.suptitle("\n".join(lines), fontsize=10.5, color=INK, linespacing=1.35)
    return figure


def matrix(axes: Axes, values: Tensor, *, x: str, y: str, title: str = "", bar: str = "", **how: Any) -> None:
    """Values [rows, cols] as colours; `bar` labels a colour bar ('' for none); `how` goes to imshow."""
    how = {"aspect": "equal", "interpolation": "nearest", **how}
    image = axes.imshow(values.detach().numpy(), **how)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(title, fontsize=9.5)
    cells(axes, *values.shape)
    if bar:
        drawn = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
        drawn.set_label(bar, fontsize=8.5)
        drawn.ax.tick_params(labelsize=8, length=2)
        drawn.outline.set_visible(False)


def cells(axes: Axes, rows: int, cols: int) -> None:
    """Whole numbers on the axes, white lines between the cells where there are few."""
    axes.locator_params(integer=True)
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    if max(rows, cols) <= GRIDDED:
        axes.set_xticks([i - 0.5 for i in range(1, cols)], minor=True)
        axes.set_yticks([i - 0.5 for i in range(1, rows)], minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)


def colours(values: Tensor) -> dict[str, Any]:
    """Colours for imshow: white is 0 where there are both signs, else from the least to the most."""
    least, most = values.min().item(), values.max().item()
    if least < 0 < most:
        most = max(-least, most)
        return {"cmap": DIVERGING, "vmin": -most, "vmax": most}
    return {"cmap": RISING, "vmin": least, "vmax": most}
