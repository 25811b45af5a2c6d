"""Vectors of places and nodes: a table of them, how alike any two are, lines over the distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from zoo.inspect.draw.panels import GREY, RISING, colours, matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = {"embed": 3.5, "rotate": 3.5, "bias": 2.7}  # inches of the row of panels of each hook


def embedded(figure: Figure, table: Tensor, prefix: int, grid: tuple[int, int] | None, node: str = "place") -> None:
    """The vectors [tokens, dim] that are added, and the cosine between any two of them."""
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    words = {
        "x": "dimension",
        "y": node,
        "title": f"added to each {'token' if node == 'place' else node}",
        "bar": "value",
    }
    matrix(left, table, **words, aspect="auto", **colours(table))
    unit = table / table.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    alike(middle, right, unit @ unit.T, prefix, grid, "cosine", node)


def alike(
    middle: Axes, right: Axes, pairs: Tensor, prefix: int, grid: tuple[int, int] | None, name: str, node: str = "place"
) -> None:
    """All pairs of places; then the view from one place: over the grid, or over the distance."""
    how = colours(pairs)
    matrix(middle, pairs, x=node, y=node, title=f"{name} of any two {node}s", bar=name, **how)
    if grid is not None:
        rows, cols = grid
        centre = (rows // 2) * cols + cols // 2
        view = pairs[prefix + centre, prefix:].reshape(rows, cols)
        matrix(right, view, x="column", y="row", title=f"{name} with the cell at the dot", bar=name, **how)
        right.plot(cols // 2, rows // 2, "o", color="black", markersize=4)
    else:
        curve(right, [pairs[0]], [name], f"{name} of places 0 and d")


def curve(axes: Axes, lines: list[Tensor], names: list[str], title: str, start: int = 0) -> None:
    """Lines over the distance from `start` on."""
    from matplotlib import colormaps

    for i, (line, name) in enumerate(zip(lines, names, strict=True)):
        colour = colormaps[RISING](0.15 + 0.7 * i / max(len(lines) - 1, 1))
        axes.plot(range(start, start + len(line)), line, color=colour, label=name, linewidth=1.7)
    axes.axhline(0, color=GREY, linewidth=0.7)
    axes.set_xlabel("distance d" if start == 0 else "distance k - q", fontsize=9)
    axes.set_title(title, fontsize=9.5)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)
