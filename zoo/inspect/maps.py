"""Where a model looks: recorded attention weights laid over the images they belong to."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from zoo.errors import ZooError
from zoo.inspect.plots import new_figure, save


def patch_attention(weights: Tensor, grid: tuple[int, int], prefix: int, class_token: bool) -> Tensor:
    """The weights that the class token gives to each patch, as maps; without one, the mean over the patches' queries.

    Args:
        weights: [B, H, N, N], as recorded; N = prefix + rows * cols.
        grid: (rows, cols) of the patches.
        prefix: tokens before the patches.

    Returns: [B, H, rows, cols]; what goes to the prefix tokens is left out, so a map sums to at most 1.
    Raises: ZooError if the weights are not over such tokens.
    """
    rows, cols = grid
    if weights.ndim != 4 or weights.shape[-1] != prefix + rows * cols or weights.shape[-2] != weights.shape[-1]:
        raise ZooError(f"Weights {list(weights.shape)} are not over {prefix} tokens and {rows} x {cols} patches.")
    query = weights[:, :, 0] if class_token else weights[:, :, prefix:].mean(2)
    return query[..., prefix:].unflatten(-1, grid)


def attention_maps(images: Tensor, maps: Tensor, png: str | Path, titles: Sequence[str]) -> Path:
    """One row an image: the image, then each head's map laid over it, each scaled to its own largest weight.

    The colour's opacity is the weight, so what a head ignores stays the grey picture.

    Args:
        images: [B, C, H, W] in [0, 1], C 1 or 3.
        maps: [B, heads, rows, cols].
        titles: B lines, one for each image.
    """
    from matplotlib.colors import LinearSegmentedColormap

    batch, heads = maps.shape[:2]
    height, width = images.shape[-2:]
    pictures = images.detach().cpu().float().clamp(0, 1)
    grey = pictures.mean(1).numpy()
    colour = pictures.permute(0, 2, 3, 1).numpy() if images.shape[1] == 3 else grey
    weights = maps.detach().cpu().float()
    heat = (weights / weights.amax((-2, -1), keepdim=True).clamp(min=1e-12)).numpy()

    glow = LinearSegmentedColormap.from_list("glow", [(1, 0.3, 0.1, 0), (1, 0.35, 0.1, 0.6), (1, 0.85, 0.2, 0.95)])
    figure = new_figure(1.15 * (heads + 1) + 0.3, 1.35 * batch + 0.5)
    grid = figure.subplots(batch, heads + 1, squeeze=False)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)  # a patch covers the pixels it was cut from
    for i, row in enumerate(grid):
        row[0].imshow(colour[i], cmap="gray", vmin=0, vmax=1, extent=extent)
        row[0].set_title(titles[i], fontsize=7)
        for head, axes in enumerate(row[1:]):
            axes.imshow(0.7 * grey[i], cmap="gray", vmin=0, vmax=1, extent=extent)
            image = axes.imshow(heat[i, head], cmap=glow, vmin=0, vmax=1, extent=extent)
            if i == 0:
                axes.set_title(f"head {head}", fontsize=7)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(image, ax=grid, shrink=0.6, aspect=30, pad=0.01, ticks=[0, 1])
    bar.ax.set_facecolor("black")
    bar.ax.set_yticklabels(["0", "max"], fontsize=7)
    figure.suptitle("the last layer's attention to each patch, each map scaled to its largest weight", fontsize=9)
    return save(figure, png)
