"""Figures over depth: a panel a measure, a line a variant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.inspect.plots import new_figure, save

PANELS = {
    "accuracy": "test accuracy",
    "mad": "MAD of the last hidden layer",
    "mad_gap": "MADGap (remote less neighbouring pairs)",
    "energy": "Dirichlet energy",
}
MARKERS = "os^Dv<>pP*"


def draw(rows: Sequence[dict[str, Any]], png: str | Path, title: str = "") -> Path:
    """Test accuracy, MAD, MADGap, energy against depth, with one standard deviation up and down."""
    from matplotlib.ticker import NullLocator

    variants = list(dict.fromkeys(row["variant"] for row in rows))
    depths = sorted({row["depth"] for row in rows})
    figure = new_figure(9.5, 7.2)
    grid = list(figure.subplots(2, 2).flat)
    for axes, (name, label) in zip(grid, PANELS.items(), strict=True):
        for i, variant in enumerate(variants):
            points = [(row["depth"], *row[name]) for row in rows if row["variant"] == variant]
            # A little beside each other, or the bars of all variants would stand on one line.
            at, middle, spread = zip(*((d * 1.025 ** (i - len(variants) / 2), m, s) for d, m, s in points), strict=True)
            style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4.5, "linewidth": 1.6, "color": f"C{i % 10}"}
            axes.errorbar(at, middle, spread, label=variant, capsize=2, elinewidth=0.9, **style)
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(label, fontsize=10)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if name == "energy":
            axes.set_yscale("log", nonpositive="clip")
        if name == "accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    for axes in grid[2:]:
        axes.set_xlabel("layers")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), frameon=False, fontsize=9)
    least, most = (limit(row["seeds"] for row in rows) for limit in (min, max))
    seeds = f"{least} to {most} seeds" if least < most else f"{most} seed{'s' * (most > 1)}"
    figure.suptitle(f"{title}: mean and standard deviation over {seeds}".lstrip(": "), fontsize=11)
    return save(figure, png)
