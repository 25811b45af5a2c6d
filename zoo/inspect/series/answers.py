"""The figure of an answer: history, forecast and band of each channel, beside it the last layer's attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.inspect.plots import new_figure, save
from zoo.inspect.series.looks import Map, draw_map
from zoo.inspect.series.plots import Window, draw_window

KINDS = 3  # kinds of attention that a figure shows


def plot_answers(
    rows: Sequence[tuple[Window, str, int, Mapping[str, Sequence[Map]]]],
    png: str | Path,
    of: int,
    units: str = "data's units",
) -> Path:
    """A row a channel: its window, then the mean over heads of the last layer of each kind of attention (3 at most).

    Args:
        rows: (window, the channel's name, its number, maps by kind: one for all channels of a window, or one each).
        png: the file to write.
        of: how many rows there would be, where some are left out.
        units: of the values.
    """
    kinds = list(rows[0][3])[:KINDS]
    figure = new_figure(5.2 + 2.9 * len(kinds), 2.5 * len(rows) + 0.9)
    title = "observed and forecast" + (
        "; beside it how much each row of the last layer reads of each column" if kinds else ""
    )
    colour = "\nattention: mean of the heads, black 0, bright each map's largest weight" if kinds else ""
    figure.suptitle(title + (f"; {len(rows)} of {of} rows" if of > len(rows) else "") + colour, fontsize=9)
    widths = [1.9, *[1.0] * len(kinds)]
    grid = figure.subplots(len(rows), 1 + len(kinds), squeeze=False, width_ratios=widths)
    for axes, (window, name, channel, maps) in zip(grid, rows, strict=True):
        draw_window(axes[0], window, channel)
        axes[0].set_title(window.title, fontsize=8)
        axes[0].set_ylabel(f"{name}\n({units})", fontsize=8)
        for one, kind in zip(axes[1:], kinds, strict=True):
            found = maps.get(kind, ())
            if not found or (len(found) == 1 and channel > 0):  # one map for all channels stands beside the first
                one.set_axis_off()
                continue
            each = found[channel if len(found) > 1 else 0]
            weights = each.weights.mean(0)
            draw_map(one, weights, each)
            one.set_ylabel(each.queries.what, fontsize=7)
            one.set_title(f"{each.title}\nlargest {weights.max():.2g}", fontsize=7)
    grid[-1, 0].set_xlabel("steps from the first forecast", fontsize=8)
    grid[0, 0].legend(frameon=False, fontsize=7, loc="upper left")
    return save(figure, png)
