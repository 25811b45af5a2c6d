"""A position: what each of its hooks does. A table and how alike its rows are; a turn; a bias per head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.attention import Position
from zoo.inspect.draw import graph
from zoo.inspect.draw.panels import GREY, colours, matrix, titled
from zoo.inspect.draw.sizes import Sizes
from zoo.inspect.draw.vectors import HEIGHT, alike, curve, embedded
from zoo.inspect.words import equation, title

if TYPE_CHECKING:
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


def _rotate(figure: Figure, position: Position, sizes: Sizes) -> None:
    """What becomes of q = k = (1, 1, ...) / sqrt(D) at each place, and of the product q.k."""
    one = torch.full((1, 1, sizes.n, sizes.head_dim), sizes.head_dim**-0.5)
    turned = position.rotate(one, torch.arange(sizes.n))[0, 0]
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    words = {"x": "dimension", "y": "place", "title": "q = (1, 1, ...)/√D, turned by its place", "bar": "value"}
    matrix(left, turned, **words, aspect="auto", **colours(turned))
    alike(middle, right, turned @ turned.T, position.prefix, getattr(position, "grid", None), "q.k")


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


def _nothing() -> Figure:
    figure = titled(7, 0.6, "No position: every hook does nothing")
    words = "Attention alone is blind to order: permute the tokens, and the outputs are permuted the same way."
    figure.text(0.5, 0.25, words, ha="center", fontsize=9, color=GREY)
    return figure


HOOKS = {"embed": _embed, "rotate": _rotate, "bias": _bias}
