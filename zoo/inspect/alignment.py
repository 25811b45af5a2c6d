"""Which source tokens a decoder looks at while it says each of the target: an alignment, Bahdanau et al. 2015, figure 3."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.attention import record_attention
from zoo.errors import ZooError, one_line
from zoo.generation.translations import padded
from zoo.inspect.plots import new_figure, save
from zoo.inspect.tokens import draw_map, draw_names, drawable, drawable_text

TOKENS = 48  # of either side that a panel shows
COLUMNS = 4  # panels beside each other
LINEAR = 1.0  # the colour goes by the weight itself


class Alignment(NamedTuple):
    """What a decoder looks at, of one pair.

    source, target: names of S and T tokens; row t of a map is where it looks while it says target[t].
    weights: [H, T, S] of each layer that looks at the source, first first, on the CPU. Rows add up to 1, to less where a
        window leaves some of it out (local-m, local-p).
    """

    source: list[str]
    target: list[str]
    weights: list[Tensor]


class Panel(NamedTuple):
    """weights: [T, S], rows the target."""

    title: str
    source: Sequence[str]
    target: Sequence[str]
    weights: Tensor


@torch.no_grad()
def align(model: Any, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]]) -> list[Alignment]:
    """The alignments of pairs of sentences, from one forward of the model over all of them.

    Args:
        model: a `zoo.models.pairs.base.PairModel` with its tokenizers.
        source: ids of each sentence.
        target: ids of each that follow the begin token; they may end with the end token.

    Raises: ZooError for a model whose decoder does not look back, or which has no tokenizer.
    """
    tokenizer, reads = model.tokenizer, model.source_tokenizer
    if tokenizer is None or tokenizer.bos is None:
        raise ZooError("An alignment has tokens on its axes, and this model has no tokenizer that names them.")
    rows = [[tokenizer.bos, *ids[:-1]] for ids in target]
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in source], device=device)
    given = [padded(source, device), padded(rows, device), lengths]
    model.eval()
    # A call, which tells the recorder where a forward begins; eager, also where calls are compiled.
    compiled = getattr(model, "_compiled_call_impl", None) is not None
    eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    with record_attention(model, only=looking(model)) as recorded, eager:
        model(*given)
    maps = [weights.float().cpu() for weights in recorded.values()]
    return [
        Alignment(
            [reads.token(id) for id in read],
            [tokenizer.token(id) for id in said],
            [weights[i, :, : len(said), : len(read)] for weights in maps],
        )
        for i, (read, said) in enumerate(zip(source, target, strict=True))
    ]


def looking(model: Any) -> list[str]:
    """Paths of the attentions with which a decoder looks at the source. Raises: ZooError where there are none."""
    from fnmatch import fnmatchcase

    paths = [path for path, module in model.named_modules() if hasattr(module, "recorder")]
    found = [path for path in paths if any(fnmatchcase(path, each) for each in model.looks)]
    if not found:
        where = (
            f" (its attentions are {one_line(', '.join(paths), 200)}: `looks` of its class says which do)"
            if paths
            else ""
        )
        raise ZooError(f"{type(model).__name__} does not look back at its source{where}: it has no alignment to draw.")
    return found


def plot_alignments(panels: Sequence[Panel], png: str | Path, title: str = "", columns: int | None = None) -> Path:
    """A panel a map: columns are the tokens that were read, rows those that were said, the first on top; black 0, bright the
    panel's largest weight. Of longer sentences the first 48 tokens.

    Args:
        panels: at least one.
        png: the file to write.
        title: over all of them.
        columns: panels beside each other; None: up to 4.
    """
    cut = [
        Panel(each.title, each.source[:TOKENS], each.target[:TOKENS], each.weights[:TOKENS, :TOKENS]) for each in panels
    ]
    columns = min(len(cut), columns or COLUMNS)
    rows = -(-len(cut) // columns)
    sides = [(_side(each.source, each.target), _side(each.target, each.source)) for each in cut]
    widths = [max(width for width, _ in sides[i::columns]) for i in range(columns)]
    heights = [max(height for _, height in sides[i * columns : (i + 1) * columns]) for i in range(rows)]
    figure = new_figure(sum(widths), sum(heights) + 0.5)
    words = [
        drawable_text(title) or "what the decoder reads of each source token (column) while it says each token (row)"
    ]
    if any(len(a.source) < len(b.source) or len(a.target) < len(b.target) for a, b in zip(cut, panels, strict=True)):
        words.append(f"the first {TOKENS} tokens")
    figure.suptitle("\n".join(textwrap.wrap("; ".join(words), max(30, int(13 * sum(widths))))), fontsize=9)
    grid = figure.subplots(rows, columns, squeeze=False, width_ratios=widths, height_ratios=heights)
    for axes in grid.flat[len(cut) :]:
        axes.set_axis_off()
    for axes, each in zip(grid.flat, cut, strict=False):
        draw_map(axes, each.weights, one_line(drawable_text(each.title), 60), LINEAR)
        draw_names(axes, list(map(drawable, each.source)), list(map(drawable, each.target)))
    return save(figure, png)


def _side(along: Sequence[str], across: Sequence[str]) -> float:
    """Inches of a panel along one axis: its cells, and the names of the other axis beside them."""
    names = max((len(drawable(name)) for name in across), default=0)
    return max(1.4, 0.15 * len(along)) + 0.5 + 0.075 * names
