"""A position: what each of its hooks does. A table and how alike its rows are; a turn; a bias per head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.attention import Position
from zoo.inspect.draw import graph
from zoo.inspect.draw.panels import GREY, RISING, colours, matrix, titled
from zoo.inspect.draw.sizes import Sizes
from zoo.inspect.words import equation, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@torch.no_grad()
def draw(position: Position, sizes: Sizes) -> Figure:
    """A row of panels for each hook that the position has; a position of graphs on a graph."""
    if wants := position.wants:
        return graph.draw(position, wants, sizes)
    hooks = [name for name in HOOKS if getattr(type(position), name) is not getattr(Position, name)]
    name, words = f"{title(position)}: {equation(position)}", []
    if any(True for _ in position.parameters()):
        words.append("Its parameters as they start, untrained.")
    if not hooks:
        return _nothing()
    heights = [HEIGHT[hook] for hook in hooks]
    figure = titled(11.5, sum(heights), name, " ".join(words))
    rows = figure.subfigures(len(hooks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for row, hook in zip(rows, hooks, strict=True):
        HOOKS[hook](row, position, sizes)
    return figure


def _embed(figure: Figure, position: Position, sizes: Sizes) -> None:
    tokens = position.prefix + sizes.n
    table = position.embed(torch.zeros(1, tokens, sizes.facts["dim"]), torch.arange(tokens))[0]
    embedded(figure, table, position.prefix, getattr(position, "grid", None))


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
    _alike(middle, right, unit @ unit.T, prefix, grid, "cosine", node)


def _rotate(figure: Figure, position: Position, sizes: Sizes) -> None:
    """What becomes of q = k = (1, 1, ...) / sqrt(D) at each place, and of the product q.k."""
    one = torch.full((1, 1, sizes.n, sizes.head_dim), sizes.head_dim**-0.5)
    turned = position.rotate(one, torch.arange(sizes.n))[0, 0]
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    words = {"x": "dimension", "y": "place", "title": "q = (1, 1, ...)/√D, turned by its place", "bar": "value"}
    matrix(left, turned, **words, aspect="auto", **colours(turned))
    _alike(middle, right, turned @ turned.T, position.prefix, getattr(position, "grid", None), "q.k")


def _alike(
    middle: Axes, right: Axes, alike: Tensor, prefix: int, grid: tuple[int, int] | None, name: str, node: str = "place"
) -> None:
    """All pairs of places; then the view from one place: over the grid, or over the distance."""
    how = colours(alike)
    matrix(middle, alike, x=node, y=node, title=f"{name} of any two {node}s", bar=name, **how)
    if grid is not None:
        rows, cols = grid
        centre = (rows // 2) * cols + cols // 2
        view = alike[prefix + centre, prefix:].reshape(rows, cols)
        matrix(right, view, x="column", y="row", title=f"{name} with the cell at the dot", bar=name, **how)
        right.plot(cols // 2, rows // 2, "o", color="black", markersize=4)
    else:
        curve(right, [alike[0]], [name], f"{name} of places 0 and d")


def _bias(figure: Figure, position: Position, sizes: Sizes) -> None:
    """A matrix a head, then each head's bias over the distance."""
    places = torch.arange(sizes.n)
    bias = position.bias(places, places)
    assert bias is not None  # this hook is drawn where there is one
    shown = bias.expand(1, -1, sizes.n, sizes.n)[0, :4]
    *panels, last = figure.subplots(1, len(shown) + 1, width_ratios=[*[1] * len(shown), 1.3])
    for head, (axes, one) in enumerate(zip(panels, shown, strict=True)):
        # Colours of its own: ALiBi's heads differ by powers, one scale for all would show the first alone.
        span = f"head {head}: {_brief(one.min())} to {_brief(one.max())}"
        matrix(axes, one, x="key k", y="query q" if head == 0 else "", title=span, **colours(one))
    middle = sizes.n // 2
    curve(last, list(shown[:, middle]), [f"head {h}" for h in range(len(shown))], f"seen by query {middle}", -middle)


def _brief(value: Tensor) -> str:
    return f"{value.item() + 0.0:.2g}"  # + 0.0: no "-0"


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


def _nothing() -> Figure:
    figure = titled(7, 0.6, "No position: every hook does nothing")
    words = "Attention alone is blind to order: permute the tokens, and the outputs are permuted the same way."
    figure.text(0.5, 0.25, words, ha="center", fontsize=9, color=GREY)
    return figure


HEIGHT = {"embed": 3.5, "rotate": 3.5, "bias": 2.7}  # inches
HOOKS = {"embed": _embed, "rotate": _rotate, "bias": _bias}
