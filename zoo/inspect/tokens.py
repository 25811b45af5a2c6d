"""Where a language model looks: attention weights with its tokens on both axes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from zoo.attention import record_attention
from zoo.errors import ZooError, printable
from zoo.inspect.plots import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOKENS = 64  # that a figure shows; names of more could not be read
PANELS = 12  # heads
LETTERS = 16  # of a token's name on an axis


class Reading(NamedTuple):
    """outputs: as the model gives them for a batch of one, without the batch. weights: [H, N, N] of each layer, first first."""

    outputs: Tensor
    weights: list[Tensor]


@torch.no_grad()
def read(model: Any, ids: Sequence[int], segments: Sequence[int] | None = None) -> Reading:
    """What a language model makes of the ids of one text, and its attention beside it; both on the CPU.

    Args:
        segments: of the tokens, for a model that has some.
    """
    model.eval()
    device = next(model.parameters()).device
    batch = SimpleNamespace(ids=torch.tensor([list(ids)], device=device), mask=None)
    if segments is not None:
        batch.segments = torch.tensor([list(segments)], device=device)
    with record_attention(model) as recorded:
        outputs = model.forward(
            *model.inputs(batch)
        )  # forward, not a call: the plain model, also where the call is compiled
    runs = [run for each in recorded.values() for run in (each if isinstance(each, list) else [each])]
    return Reading(outputs[0].float().cpu(), [run[0].float().cpu() for run in runs if isinstance(run, Tensor)])


def choose(weights: Sequence[Tensor], layer: int | None = None, head: int | str | None = None) -> dict[str, Tensor]:
    """Maps [N, N] by their titles: every head of one layer, one of them, or their mean.

    Args:
        weights: [H, N, N] of each layer.
        layer: from 0; None: the last.
        head: from 0; "mean" of the layer's heads; None: all of them.

    Raises: ZooError for a layer or a head that is not there.
    """
    layer = len(weights) - 1 if layer is None else layer
    if not 0 <= layer < len(weights):
        raise ZooError(f"--layer {layer} is not there: the model's layers are 0 to {len(weights) - 1}.")
    heads = weights[layer]
    if head == "mean":
        return {f"layer {layer}, mean of {len(heads)} heads": heads.mean(0)}
    if head is None:
        return {f"layer {layer}, head {h}": each for h, each in enumerate(heads)}
    if not isinstance(head, int) or not 0 <= head < len(heads):
        raise ZooError(f"--head {head} is not there: give 0 to {len(heads) - 1}, or mean.")
    return {f"layer {layer}, head {head}": heads[head]}


def plot_tokens(maps: Mapping[str, Tensor], tokens: Sequence[str], png: str | Path, note: str = "") -> Path:
    """A panel a map: the row is the token that looks, the column what it looks at; black 0, bright the map's largest weight.
    The colour goes by the square root: the first token of a causal model has itself alone to look at, a later one many.

    Of a longer text the last 64 tokens are shown, of many heads the first 12.

    Args:
        maps: [N, N] by title, rows that add up to 1.
        tokens: N names; letters that a font lacks or that would move others are shown as their codes.
        png: the file to write.
        note: a line below the title.
    """
    left = max(len(tokens) - TOKENS, 0)
    names = [drawable(token) for token in tokens[left:]]
    shown = dict(list(maps.items())[:PANELS])
    columns = min(len(shown), 4 if len(names) <= 24 else 2)
    rows = -(-len(shown) // columns)
    one = len(shown) == 1
    side = max(2.6 if not one else 4.0, (0.13 if not one else 0.2) * len(names) + 1.0)
    beside = 0.3 + 0.07 * max(map(len, names), default=0)  # inches that the names take
    figure = new_figure(side * columns + beside, side * rows + beside + 0.4)
    more = [f"the last {len(names)} of {len(tokens)} tokens"] * bool(left)
    more += [f"{len(shown)} of {len(maps)} heads"] * (len(maps) > len(shown))
    title = "how much each token (row) reads of each (column); colour: the square root of the weight"
    lines = textwrap.wrap(title, max(20, int(14 * figure.get_figwidth())))  # letters of 9 points in an inch
    figure.suptitle(
        "\n".join([*lines, *[", ".join(more)] * bool(more), *[drawable_text(note)] * bool(note)]), fontsize=9
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for i, (axes, (name, weights)) in enumerate(zip(grid.flat, shown.items(), strict=False)):
        draw_map(axes, weights[left:, left:], name)
        draw_names(axes, names if i + columns >= len(shown) else [], names if i % columns == 0 else [])
    return save(figure, png)


def drawable(token: str) -> str:
    """A token as an axis can show it: a space as a low line, letters that move others or that the font lacks as codes."""
    known = _letters()
    text = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in visible(token))
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}\u2026"


def drawable_text(text: str) -> str:
    """A line of text as a figure can show it: what the font lacks or what moves others as codes."""
    known = _letters()
    return "".join(c if ord(c) in known and c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible(token: str) -> str:
    """A token as a terminal can show it: a space as a low line, what a terminal obeys as codes."""
    return printable(token.replace(" ", "\u2423"))


@cache
def _letters() -> frozenset[int]:
    """What matplotlib's own font can draw."""
    from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap())


def draw_map(axes: Axes, weights: Tensor, title: str, power: float = 0.5) -> None:
    """Weights [Q, K] as a picture; the colour goes by their power, from 0 to the largest."""
    from matplotlib.colors import PowerNorm

    most = max(weights.max().item(), 1e-12) if weights.numel() else 1.0
    axes.imshow(weights.numpy(), cmap="magma", norm=PowerNorm(power, 0, most), interpolation="nearest")
    axes.set_title(title, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_names(axes: Axes, below: Sequence[str], beside: Sequence[str]) -> None:
    """Names under the columns and at the left of the rows; none where there are none."""
    for ticks, names, turned in ((axes.set_xticks, below, 90), (axes.set_yticks, beside, 0)):
        ticks(range(len(names)), names, fontsize=7 if len(names) <= 24 else 5, rotation=turned)
