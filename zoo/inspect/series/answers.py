"""The figure of an answer: history, forecast and band of each channel, beside it the last layer's attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.inspect.plots import new_figure, save
from zoo.inspect.series.looks import Map, draw_map
from zoo.inspect.series.plots import STEPS, Window, draw_window

KINDS = 3  # kinds of attention that a figure shows
SHOWN = 400  # steps of the history


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
    figure = new_figure(5.2 + 2.9 * len(kinds), 2.2 * len(rows) + 1.3)
    title = "observed and forecast" + (
        "; beside it how much each row of the last layer reads of each column" if kinds else ""
    )
    colour = "\nattention: mean of the heads, black 0, bright each map's largest weight" if kinds else ""
    figure.suptitle(title + (f"; {len(rows)} of {of} rows" if of > len(rows) else "") + colour, fontsize=9)
    widths = [1.9, *[1.0] * len(kinds)]
    grid = figure.subplots(len(rows), 1 + len(kinds), squeeze=False, width_ratios=widths)
    for at, (axes, (window, name, channel, maps)) in enumerate(zip(grid, rows, strict=True)):
        draw_window(axes[0], window, channel, SHOWN)
        axes[0].set_title(window.title, fontsize=8)
        axes[0].set_ylabel(f"{name}\n({units})", fontsize=8)
        for one, kind in zip(axes[1:], kinds, strict=True):
            found = maps.get(kind, ())
            if not found or (len(found) == 1 and channel > 0):  # one map for all channels stands beside the first
                one.set_axis_off()
                continue
            each = found[channel if len(found) > 1 else 0]
            weights = each.weights.mean(0)
            draw_map(one, weights, each, columns=len(found) == 1 or at + 1 == len(rows))
            one.set_ylabel(each.queries.what, fontsize=7)
            one.set_title(f"{each.title}\nlargest {weights.max():.2g}", fontsize=7)
    grid[-1, 0].set_xlabel(STEPS, fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    return save(figure, png)
