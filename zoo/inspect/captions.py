"""Where a captioner looks while it says each word: its cross-attention over the patches. Xu et al. 2015, figure 3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.attention import record_attention
from zoo.errors import ZooError, one_line
from zoo.inspect.alignment import looking
from zoo.inspect.plots import new_figure, save
from zoo.inspect.tokens import drawable, drawable_text

COLUMNS, WORDS = 8, 24  # words beside each other, and of a caption, that a figure shows
CELL = 1.25  # inches of a panel


class Looked(NamedTuple):
    """What a captioner looks at, of one image.

    words: W words of the caption.
    maps: [layers, H, W, rows, cols], the weights of each patch while it says each word, first layer first; of a word of
        several tokens their mean. What goes to tokens before the patches is left out.
    """

    words: list[str]
    maps: Tensor


class Shown(NamedTuple):
    """title: a line or several. pixels: [C, H, W] in [0, 1]. maps: [W, rows, cols]."""

    title: str
    pixels: Tensor
    words: Sequence[str]
    maps: Tensor


@torch.no_grad()
def look(model: Any, image: Tensor, ids: Sequence[int]) -> Looked:
    """What it looks at while it says these tokens of an image, from one forward over all of them.

    Args:
        model: a `zoo.models.pairs.captioner.Captioner` with its tokenizer.
        image: [1, C, H, W], as the model takes it.
        ids: those that follow the begin token; they may end with the end token.

    Raises: ZooError for a model without a tokenizer, or whose weights are not over patches.
    """
    tokenizer = model.tokenizer
    if tokenizer is None or tokenizer.bos is None:
        raise ZooError("A caption is made of words, and this model has no tokenizer that makes them.")
    said = [id for id in ids if id != tokenizer.eos]
    words, of = words_of(tokenizer, said)
    target = torch.tensor([[tokenizer.bos, *said[:-1]]] if said else [[tokenizer.bos]], device=image.device)
    model.eval()
    with record_attention(model, only=looking(model)) as recorded, torch.compiler.set_stance("force_eager"):
        model(image, target)
    (rows, cols), prefix = model.grid, model.num_prefix_tokens
    weights = torch.stack([each[0].float().cpu() for each in recorded.values()])  # [layers, H, T, prefix + patches]
    if weights.shape[-1] != prefix + rows * cols:
        raise ZooError(f"Weights {list(weights.shape)} are not over {prefix} tokens and {rows} x {cols} patches.")
    maps = weights[..., prefix:].unflatten(-1, (rows, cols))
    each = [maps[:, :, [t for t, word in enumerate(of) if word == w]].mean(2) for w in range(len(words))]
    return Looked(words, torch.stack(each, 2) if each else maps[:, :, :0])


def words_of(tokenizer: Any, ids: Sequence[int]) -> tuple[list[str], list[int]]:
    """(the words of a text, of each token the number of the word that it is of): the one that stands last when it is said."""
    words = tokenizer.decode(list(ids)).split()
    of, last = [], max(len(words) - 1, 0)
    for i in range(len(ids)):
        standing = len(tokenizer.decode(list(ids[: i + 1])).split())
        of.append(min(max(standing - 1, 0), last))
    return [word for w, word in enumerate(words) if w in of], [sorted(set(of)).index(w) for w in of] if words else []


def choose(looked: Looked, layer: int | None = None, head: int | str | None = None) -> Tensor:
    """[W, rows, cols] of a layer (None: the last) and a head (None or "mean": their mean). Raises: ZooError for one that is not
    there."""
    layers, heads = looked.maps.shape[:2]
    layer = layers - 1 if layer is None else layer
    if not 0 <= layer < layers:
        raise ZooError(f"--layer {layer} is not one of the decoder's; its {layers} layers are numbered from 0.")
    if head is None or head == "mean":
        return looked.maps[layer].mean(0)
    if not isinstance(head, int) or not 0 <= head < heads:
        raise ZooError(f"--head {head} is not one of the layer's; its {heads} heads are numbered from 0, or give mean.")
    return looked.maps[layer, head]


def plot_captions(shown: Sequence[Shown], png: str | Path, title: str = "") -> Path:
    """Each image, and beside it once more for each word: bright where it looks while it says the word, each panel on a scale
    from 0 to its own largest weight. Of longer captions the first 24 words.

    Args:
        shown: images with their captions, at least one.
        png: the file to write.
        title: over all of them.
    """
    lines: list[tuple[Shown | None, Shown, range]] = []
    for each in shown:
        count = min(len(each.words), WORDS)
        for start in range(0, max(count, 1), COLUMNS):
            lines.append((None if start else each, each, range(start, min(start + COLUMNS, count))))
    columns = 1 + max((len(words) for _, _, words in lines), default=0)
    titles = sum(0.15 + 0.15 * (1 + each.title.count("\n")) for each in shown)
    figure = new_figure(max(CELL * columns, 5.0), (CELL + 0.25) * len(lines) + titles + 0.5)
    figure.suptitle(
        title or "where the model looks while it says each word: bright each panel's largest weight", fontsize=9
    )
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (first, each, words) in zip(grid, lines, strict=True):
        pixels = each.pixels.detach().cpu().float().clamp(0, 1)
        picture = (pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy()
        extent = (-0.5, pixels.shape[2] - 0.5, pixels.shape[1] - 0.5, -0.5)
        if first is not None:
            axes[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
            said = "\n".join(drawable_text(one_line(line, 13 * columns)) for line in each.title.split("\n"))
            where = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 18), "textcoords": "offset points"}
            axes[0].annotate(said, **where, fontsize=8, annotation_clip=False).set_in_layout(False)
        for panel, w in zip(axes[1:], words, strict=False):
            values = each.maps[w]
            panel.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent)
            most = max(values.max().item(), 1e-12)
            panel.imshow(
                values.numpy(), cmap="magma", vmin=0, vmax=most, extent=extent, alpha=0.65, interpolation="nearest"
            )
            panel.set_title(drawable(each.words[w]), fontsize=8)
    return save(figure, png)
