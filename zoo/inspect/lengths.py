"""Quality against the length of the source: a line a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo.inspect.plots import new_figure, save

MARKERS = "os^Dv<>pP*X"


class Line(NamedTuple):
    """values: a number a bin, one list for each seed. style: of matplotlib's plot, beside the usual one."""

    values: Sequence[Sequence[float]]
    style: Mapping[str, object] = {}


def plot_by_length(
    lines: Mapping[str, Line],
    labels: Sequence[str],
    counts: Sequence[int],
    png: str | Path,
    *,
    unit: str,
    quality: str,
    title: str = "",
) -> Path:
    """Draw the means over seeds and, where there are several, from their least to their most.

    Args:
        lines: by name of the system.
        labels: of the bins, shortest sources first.
        counts: how many sources each has.
        png: the file to write.
        unit: what lengths are counted in.
        quality: what the values are.
        title: over the figure.
    """
    named = len(lines) > 1
    figure = new_figure(8.6 if named else 6.2, 4.2)
    axes = figure.subplots()
    places = range(len(labels))
    for i, (name, line) in enumerate(lines.items()):
        each = list(zip(*line.values, strict=True))
        mean = [sum(values) / len(values) for values in each]
        style: dict[str, Any] = {
            "color": f"C{i % 10}",
            "marker": MARKERS[i % len(MARKERS)],
            "markersize": 4.5,
            "linewidth": 1.6,
            **line.style,
        }
        (drawn,) = axes.plot(places, mean, label=name, **style)
        if len(line.values) > 1:
            low, high = ([pick(values) for values in each] for pick in (min, max))
            axes.fill_between(places, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    axes.set_xticks(places, [f"{label}\n{count}" for label, count in zip(labels, counts, strict=True)], fontsize=8)
    axes.set(xlabel=f"{unit} of the source, and how many such sources", ylabel=quality)
    most = max(value for line in lines.values() for values in line.values for value in values)
    axes.set_ylim(0, 103 if "%" in quality else max(1.08 * most, 1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=10)
    if named:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    return save(figure, png)
