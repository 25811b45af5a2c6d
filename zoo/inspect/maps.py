"""Where a model looks: recorded attention weights as maps beside the images they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.inspect.plots import new_figure, save
from zoo.inspect.rollout import rollout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADS, LAYERS = 6, 4  # that a figure shows; more would be too small to see
CELL, SPACE = 1.15, 0.1  # inches of a map; of a gap between two groups, in maps


class PatchMaps(NamedTuple):
    """How much of each patch reaches the class token (without one: the patches, on average), in three ways.

    heads: [B, H, rows, cols], the last layer's weights, head by head.
    layers: [B, L, rows, cols], each layer's weights, their mean over the heads; layer by layer, first layer first.
    rollout: [B, rows, cols], followed through all layers (`zoo.inspect.rollout`); None where their tokens differ.
    """

    heads: Tensor
    layers: Tensor
    rollout: Tensor | None

    def first(self, n: int) -> PatchMaps:
        """The maps of the first n images."""
        return PatchMaps(self.heads[:n], self.layers[:n], None if self.rollout is None else self.rollout[:n])


def patch_attention(weights: Tensor, grid: tuple[int, int], prefix: int, class_token: bool) -> Tensor:
    """The weights that the class token gives to each patch, as maps; without one, the mean over the patches' queries.

    Args:
        weights: [B, H, Q, N], as recorded; N = prefix + rows * cols. Where Q is another number, the queries are no tokens of
            the image (latents that read it), and the map is the mean over them.
        grid: (rows, cols) of the patches.
        prefix: tokens before the patches.
        class_token: whether the first token is one.

    Returns: [B, H, rows, cols]; what goes to the prefix tokens is left out, so a map sums to at most 1.
    Raises: ZooError if the weights are not over such tokens.
    """
    rows, cols = grid
    if weights.ndim != 4 or weights.shape[-1] != prefix + rows * cols:
        raise ZooError(f"Weights {list(weights.shape)} are not over {prefix} tokens and {rows} x {cols} patches.")
    if weights.shape[-2] != weights.shape[-1]:
        query = weights.mean(2)
    else:
        query = weights[:, :, 0] if class_token else weights[:, :, prefix:].mean(2)
    return query[..., prefix:].unflatten(-1, grid)


def patch_maps(weights: Sequence[Tensor], grid: tuple[int, int], prefix: int, class_token: bool) -> PatchMaps:
    """`patch_attention` of the last layer's heads, of each layer's mean over heads, and of the rollout.

    Args:
        weights: [B, H, Q, N] of each layer, first layer first; H may differ.
        grid, prefix, class_token: as in `patch_attention`.

    Layers whose keys are something else (latents among themselves) have no map; with one of them among the layers, or with
    queries that are not the patches, there is no rollout.

    Raises: ZooError if no layer's weights are over such tokens.
    """
    keys = prefix + grid[0] * grid[1]
    over = [layer for layer in weights if layer.shape[-1] == keys] or weights
    maps = [patch_attention(layer, grid, prefix, class_token) for layer in over]
    followed = len(weights) > 1 and all(layer.shape[-2:] == (keys, keys) for layer in weights)
    through = patch_attention(rollout(weights)[:, None], grid, prefix, class_token)[:, 0] if followed else None
    return PatchMaps(maps[-1], torch.stack([layer.mean(1) for layer in maps], 1), through)


def attention_maps(images: Tensor, maps: PatchMaps, png: str | Path, titles: Sequence[str]) -> Path:
    """One row an image: the image, and beside it the maps, each on a scale from 0 to its own largest weight.

    Up to 6 heads of the last layer; the mean over heads of up to 4 layers, first and last among them; the rollout.

    Args:
        images: [B, C, H, W] in [0, 1], C 1 or 3.
        maps: of these images.
        titles: B texts, one for each image.
    """
    groups = _groups(maps)
    widths = [1.0]
    for group in groups:
        widths += [SPACE, *[1.0] * len(group)]
    batch, columns = len(images), len(widths)
    figure = new_figure(CELL * sum(widths) + 0.9, CELL * batch + 0.9)
    figure.suptitle("how much the model reads of each patch: black 0, bright each map's largest weight", fontsize=9)
    grid = figure.subplots(batch, columns, squeeze=False, width_ratios=widths)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for i, (axes, picture) in enumerate(zip(grid[:, 0], _pictures(images), strict=True)):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        _patch_borders(axes, maps.heads.shape[-2:], images.shape[-2:])
        axes.set_ylabel(titles[i], fontsize=7, rotation=0, ha="right", va="center")
    grid[0, 0].set_title("image", fontsize=7)
    column = 1
    for group in groups:
        for axes in grid[:, column]:
            axes.set_axis_off()
        for name, values in group.items():
            column += 1
            grid[0, column].set_title(name, fontsize=7)
            for axes, value in zip(grid[:, column], values, strict=True):
                _map(axes, value, images.shape[-2:])
        column += 1
    return save(figure, png)


def _groups(maps: PatchMaps) -> list[dict[str, Tensor]]:
    """Maps [B, rows, cols] by the title of their column; a gap stands before each group."""
    heads, layers = maps.heads.shape[1], maps.layers.shape[1]
    groups = [{f"last layer\nhead {h}": maps.heads[:, h] for h in range(min(heads, HEADS))}]
    if layers > 1:
        chosen = range(layers) if layers <= LAYERS else [round(i * (layers - 1) / (LAYERS - 1)) for i in range(LAYERS)]
        groups.append({f"layer {i}\nmean of heads": maps.layers[:, i] for i in chosen})
    if maps.rollout is not None:
        groups.append({"all layers\nrollout": maps.rollout})
    return groups


def _pictures(images: Tensor) -> list:
    pictures = images.detach().cpu().float().clamp(0, 1)
    return list((pictures[:, 0] if pictures.shape[1] == 1 else pictures.permute(0, 2, 3, 1)).numpy())


def _patch_borders(axes: Axes, grid: Sequence[int], size: Sequence[int]) -> None:
    """Thin lines where one patch ends and the next begins, so that cells of the maps are found again."""
    for count, pixels, line in zip(grid, size, (axes.axhline, axes.axvline), strict=True):
        for i in range(1, count):
            line(i * pixels / count - 0.5, color="#5a9bd4", linewidth=0.4, alpha=0.6)


def _map(axes: Axes, values: Tensor, size: Sequence[int]) -> None:
    """A map in the pixels' coordinates: a patch covers what it was cut from."""
    height, width = size
    values = values.detach().cpu().float()
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(values.numpy(), cmap="magma", vmin=0, vmax=max(values.max().item(), 1e-12), extent=extent)
