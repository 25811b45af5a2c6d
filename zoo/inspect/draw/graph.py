"""Graphs that patterns and positions of graphs are drawn on: points tied to their nearest, and a grid of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.attention import Edges, Position
from zoo.inspect.draw.panels import GREY, INK, colours, matrix, titled
from zoo.inspect.draw.sizes import Sizes
from zoo.inspect.draw.vectors import HEIGHT, embedded
from zoo.inspect.words import equation, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAREST = 3
MAPS = 8  # of coordinates that are shown


def points(sizes: Sizes) -> tuple[Tensor, Edges]:
    """n points [n, 2] of a square, from left to right, and an edge to each from its nearest three."""
    draws = torch.Generator().manual_seed(sizes.seed)
    place = torch.rand(1, 2, generator=draws)
    for _ in range(sizes.n - 1):  # of several throws the one that is furthest from all others
        tries = torch.rand(16, 2, generator=draws)
        place = torch.cat([place, tries[torch.cdist(tries, place).amin(1).argmax()][None]])
    place = place[place[:, 0].argsort()]
    near = (torch.cdist(place, place) + 2 * torch.eye(sizes.n)).topk(min(NEAREST, sizes.n - 1), largest=False).indices
    target = torch.arange(sizes.n).repeat_interleave(near.shape[1])
    return place, Edges(torch.stack([near.flatten(), target]), sizes.n)


def network(axes: Axes, place: Tensor, edges: Edges, colour: str) -> None:
    """The nodes with their numbers, an arrow for each edge."""
    at: list = place.tolist()
    for source, target in edges.edge_index.T.tolist():
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1, "shrinkA": 7, "shrinkB": 7, "mutation_scale": 9}
        axes.annotate("", at[target], at[source], arrowprops=style, zorder=1)
    axes.plot(*place.T, "o", color="white", markeredgecolor=colour, markersize=14, zorder=2)
    for node, (x, y) in enumerate(at):
        axes.text(x, y, str(node), ha="center", va="center", fontsize=7, color=INK, zorder=3)
    axes.set(aspect="equal", title="an edge: source → target")
    axes.title.set(fontsize=9, color=GREY)
    axes.margins(0.08)
    axes.set_axis_off()


@torch.no_grad()
def draw(position: Position, wants: dict[str, int], sizes: Sizes) -> Figure:
    """What the position reads of a grid of cells, each tied to those beside, above and below it, and what it makes of it."""
    from torch_geometric.data import Data

    from zoo.graphs import add_positions, grid

    rows, cols = sizes.grid
    graph = Data(edge_index=grid(rows, cols), num_nodes=sizes.n)
    add_positions([graph], wants)
    (reads,) = (graph[kind] for kind in wants)
    words = f"On a grid of {rows} x {cols} nodes, each tied to its neighbours."
    heading = f"{title(position)}: {equation(position)}"
    if position.acts_inside:
        figure = titled(9, 4, heading, f"{words} The numbers that it adds are learned, and start at 0.")
        left, right = figure.subplots(1, 2)
        _lengths(left, right, reads, rows, cols)
        return figure
    words += " Its map as it starts, untrained."
    if (shown := _telling(reads)) != list(range(len(shown))):
        words += " Coordinates that are alike at all nodes are left out."
    heights = [2.2 * _lines(reads), HEIGHT["embed"]]
    figure = titled(11.5, sum(heights), heading, words)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    _maps(above, reads, rows, cols)
    table = position.eval().embed(torch.zeros(1, sizes.n, sizes.facts["dim"]), reads)[0]
    embedded(below, table, 0, sizes.grid, node="node")
    return figure


def _lines(reads: Tensor) -> int:
    return -(-len(_telling(reads)) // 4)


def _telling(reads: Tensor) -> list[int]:
    """The first coordinates that are not the same everywhere."""
    return [i for i in range(reads.shape[1]) if reads[:, i].std() > 1e-6][:MAPS] or [0]


def _maps(figure: Figure, reads: Tensor, rows: int, cols: int) -> None:
    """Each coordinate over the grid."""
    axes = list(figure.subplots(_lines(reads), 4, squeeze=False).flat)
    for each in axes:
        each.set_axis_off()
    for each, i in zip(axes, _telling(reads), strict=False):
        values = reads[:, i].view(rows, cols)
        each.set_axis_on()
        matrix(each, values, x="", y="", title=f"coordinate {i + 1}", bar=" ", **colours(values))
        each.set(xticks=[], yticks=[])


def _lengths(left: Axes, right: Axes, reads: Tensor, rows: int, cols: int) -> None:
    """Lengths from one cell, and between all."""
    middle = (rows // 2) * cols + cols // 2
    one = reads[middle].view(rows, cols)
    how = colours(reads)
    matrix(left, one, x="column", y="row", title="steps from the node at the dot", bar="d", **how)
    left.plot(cols // 2, rows // 2, "o", color="white", markersize=5)
    matrix(right, reads, x="node", y="node", title="steps between any two nodes", bar="d", **how)
