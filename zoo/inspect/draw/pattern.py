"""A pattern: the matrix of what each query may see, from the same method that makes every kernel's mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.attention import AttentionCall, Pattern, attend
from zoo.inspect.draw.graph import network, points
from zoo.inspect.draw.panels import GREY, cells, titled
from zoo.inspect.draw.sizes import Sizes
from zoo.inspect.words import equation, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEN, HIDDEN = "#2f6f9f", "#e9edf1"


def allowed(pattern: Pattern, sizes: Sizes) -> torch.Tensor:
    """True where a query may see a key: [heads, n, n], one head where all heads see the same. Of a choice by content, what
    the first head chooses with random queries and keys."""
    if pattern.by_content:
        q, k = torch.randn(2, 1, 1, sizes.n, sizes.head_dim, generator=torch.Generator().manual_seed(sizes.seed))
        edges = pattern.edges
        logits = attend(q, k, k, pattern=pattern, kernel=None if edges else "reference", need_logits=True).logits
        assert logits is not None  # asked for
        if edges is None:
            return (logits > -torch.inf)[0]
        seen = torch.zeros(sizes.n, sizes.n, dtype=torch.bool)
        chosen = logits[0, 0] > -torch.inf
        seen[edges.edge_index[1, chosen], edges.edge_index[0, chosen]] = True
        return seen[None]
    q = torch.zeros(1, sizes.heads, sizes.n, 1)
    call = AttentionCall(q, q, q, pattern=pattern)
    pattern.check(call)
    mask = call.mask()
    return torch.ones(1, sizes.n, sizes.n, dtype=torch.bool) if mask is None else mask[0].expand(-1, sizes.n, sizes.n)


def draw(pattern: Pattern, sizes: Sizes) -> Figure:
    """Queries down, keys across; filled where the query may see the key. Beside it the graph, where one is asked for."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    words = equation(pattern)
    words = f"allowed: {words[0].lower()}{words[1:]}"
    if pattern.by_content:
        words += f"; an example of its choice, with random queries and keys (seed={sizes.seed})"
    place, edges = points(sizes)
    seen = pattern.bind(edges)
    of_graph = seen != pattern  # somewhere in it GraphEdges() stands for them
    masks = allowed(seen, sizes)
    if of_graph:
        words += f"; here {sizes.n} points, each of which sees the {edges.edge_index.shape[1] // sizes.n} nearest"
    figure = titled(4.6 * (len(masks) + of_graph), 4.6, title(pattern), words)
    first, *panels = figure.subplots(1, len(masks) + of_graph, squeeze=False)[0]
    if of_graph:
        network(first, place, edges, SEEN)
    else:
        panels = [first, *panels]
    for head, (axes, mask) in enumerate(zip(panels, masks, strict=True)):
        axes.imshow(mask.numpy(), cmap=ListedColormap([HIDDEN, SEEN]), vmin=0, vmax=1, interpolation="nearest")
        cells(axes, *mask.shape)
        axes.set_xlabel("key k", fontsize=9)
        axes.set_ylabel("query q", fontsize=9)
        share = f"{int(mask.sum())} of {mask.numel()} pairs"
        axes.set_title(share if len(masks) == 1 else f"head {head}: {share}", fontsize=9, color=GREY)
    label = "chosen in this example" if pattern.by_content else "may be seen"
    legend = [Patch(color=SEEN, label=label), Patch(color=HIDDEN, label="hidden")]
    figure.legend(handles=legend, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure
