"""Pictures of where a graph model looks: the weights of a node's edges, and how evenly each head spreads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.attention import EdgeWeights
from zoo.errors import ZooError
from zoo.inspect.edges import edge_entropy, one_sample, per_node, uniform_entropy
from zoo.inspect.plots import COLOURS, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 15  # inches
UNIFORM, UNKNOWN, INK = "#b5b5b5", "#d9d9d9", "#333333"


def plot_entropy(records: Mapping[str, EdgeWeights], num_nodes: int, png: str | Path) -> Path:
    """Each head's entropy over the nodes beside the uniform distribution's, one panel a layer, at most four.

    Args:
        records: weights by the path of their layer, in order. Their nodes may differ.
        num_nodes: N; records that name nodes beyond have more.

    Raises: ZooError if no node has two incoming edges: what it reads is then no choice.
    """
    panels = {path: found for path in _shown(list(records)) if (found := _entropies(records[path], num_nodes))}
    if not panels:
        raise ZooError("No node has two incoming edges: every head gives the one edge all.")
    widths = [max(2.2, 0.72 * entropy.shape[1] + 0.9) for entropy, _ in panels.values()]
    columns, ratios = next(
        (n, ratios)
        for n in (len(panels), 2, 1)
        if sum(ratios := [max(widths[i::n]) for i in range(min(n, len(widths)))]) <= WIDEST or n == 1
    )
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(min(max(sum(ratios), 6.6), WIDEST), 3.4 * rows + 0.9)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True, width_ratios=ratios).flat)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    low = min(float(entropy.min()) for entropy, _ in panels.values())
    top = max(float(uniform.max()) for _, uniform in panels.values())
    limits = (0.9 * low if low > 0.4 * top else 0.0, 1.04 * top)
    for i, (axes, (path, found)) in enumerate(zip(grid, panels.items(), strict=False)):
        _entropy_panel(axes, *found, limits)
        axes.set_title(f"{path}\n{len(found[1]):,} nodes", fontsize=8)
        if i % columns == 0:
            axes.set_ylabel("entropy of a node's weights (nats)", fontsize=8)
    some = f", {len(panels)} of {len(records)} layers" if len(panels) < len(records) else ""
    figure.suptitle(
        f"how widely each head looks{some}: blue its entropy, grey the uniform's (log of in-degree)", fontsize=9
    )
    below = (
        "nodes with two or more incoming edges; %: mean of entropy / uniform; each histogram scaled to its largest bar"
    )
    figure.supxlabel(below, fontsize=7, color=INK)
    return save(figure, png)


def plot_neighbourhood(
    weights: EdgeWeights,
    node: int,
    png: str | Path,
    labels: Tensor | None = None,
    classes: Sequence[str] | None = None,
    max_neighbours: int = 24,
    max_heads: int = 8,
) -> Path:
    """A node among its sources: a line is an edge, its width and colour the weight; the ring is the node's own loop.

    One panel a head, their mean where there are more than `max_heads`, and one of uniform weights on the same scale.
    Sources stand on a circle by class, then by number; of more than `max_neighbours` the strongest, by the mean of the
    heads. Multi-edges are one line with their sum. Sources and targets are taken for one set of nodes.

    Args:
        node: whose incoming edges are drawn; `interesting_node` proposes one.
        labels: [N] integers, negative where unknown; anything else, and nodes have no colour.
        classes: their names.

    Raises: ZooError if the node has no incoming edge.
    """
    one_sample(weights)
    into = weights.edge_index[1] == node
    if not into.any():
        raise ZooError(f"Node {node} has no incoming edge: there is no neighbourhood to draw.")
    source, alpha = weights.edge_index[0, into].cpu(), weights.alpha[into].cpu().float()
    heads = alpha.shape[1]
    panels = {f"head {h}": alpha[:, h] for h in range(heads)} if heads <= max_heads else {}
    panels = panels or {f"mean of {heads} heads": alpha.mean(1)}
    total = float(alpha.sum(0).mean())  # 1, or the number of relations that each have a softmax of their own
    uniform = total / len(source)
    panels["uniform"] = torch.full((len(source),), uniform)

    known = per_node(labels, weights)
    own, at = source.unique(return_inverse=True)
    sums = {title: torch.zeros(len(own)).index_add(0, at, column) for title, column in panels.items()}
    mean = torch.zeros(len(own)).index_add(0, at, alpha.mean(1)).masked_fill(own == node, -1)
    others = mean.argsort(descending=True, stable=True)[: int((own != node).sum())]
    kept = sorted(
        others[:max_neighbours].tolist(), key=lambda i: (0 if known is None else int(known[own[i]]), int(own[i]))
    )
    loop = (own == node).nonzero().flatten().tolist()
    names, colours = _class_colours(known, classes, [node, *own[kept].tolist()])

    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(2.8 * columns + 0.8, 2.8 * rows + 0.5 + 0.3 * bool(names))
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    shown = torch.stack(list(sums.values()))[:, kept + loop]
    # Uniform is at most the middle of the scale, so that a head that hardly chooses looks like one.
    blues, scale = _blues(), max(float(shown.max()), min(2 * uniform, total), 1e-12)
    for axes, (title, each) in zip(grid, sums.items(), strict=False):
        star = [(int(own[i]), float(each[i])) for i in kept]
        itself = float(each[loop].sum()) if loop else None
        _star(
            axes, node, star, itself, colours, scale, blues, numbered=math.inf if title == "uniform" else 1.1 * uniform
        )
        extra = f", each {_short(uniform, scale)}" if title == "uniform" else ""
        axes.set_title(
            f"{title}{extra}" if itself is None or extra else f"{title}, itself {_short(itself, scale)}", fontsize=8
        )
    _keys(figure, grid, names, blues, scale)
    what = f"what node {node} reads from its {len(others)} neighbour{'s' * (len(others) != 1)}"
    what += f": the {max_neighbours} strongest" if len(others) > len(kept) else ""
    ring = ", ring: of itself" if loop else ""
    figure.suptitle(f"{what}\nlines: attention weights{ring}; numbers: the strongest above uniform", fontsize=9)
    return save(figure, png)


def _shown(paths: list[str]) -> list[str]:
    """All of up to four layers; of more the first, the middle and the last two."""
    last = len(paths) - 1
    return paths if last < 4 else [paths[i] for i in (0, last // 2, last - 1, last)]


def _entropies(weights: EdgeWeights, num_nodes: int) -> tuple[Tensor, Tensor] | None:
    """(entropy [n, H], uniform [n]) of the n nodes with two incoming edges; None without any."""
    size = max(num_nodes, int(weights.edge_index[1].max()) + 1 if weights.edge_index.numel() else 0)
    uniform, entropy = uniform_entropy(weights, size).cpu(), edge_entropy(weights, size).cpu()
    chosen = uniform > 0
    return (entropy[chosen].double(), uniform[chosen]) if chosen.any() else None


def _entropy_panel(axes: Axes, entropy: Tensor, uniform: Tensor, limits: tuple[float, float]) -> None:
    """A column a head: the histogram of its entropy to the right, that of the uniform to the left."""
    heads = entropy.shape[1]
    bins = torch.linspace(*limits, 41, dtype=torch.double)
    for h in range(heads):
        for values, colour, side in ((uniform, UNIFORM, -1), (entropy[:, h], COLOURS["train"], 1)):
            counts = torch.histogram(values.clamp(*limits), bins).hist
            ends = (h + side * 0.44 * counts / counts.max()).masked_fill(counts == 0, torch.nan)
            # The edge keeps the bars of a few nodes from falling between two pixels.
            style: dict[str, Any] = dict(
                baseline=h, orientation="horizontal", fill=True, facecolor=colour, edgecolor=colour, linewidth=0.4
            )
            axes.stairs(ends.numpy(), bins.numpy(), **style)
    ratio = (entropy / uniform[:, None]).mean(0).tolist()
    size = 7 if heads <= 12 else 5
    axes.set_xticks(range(heads), [f"head {h}\n{100 * r:.1f} %" for h, r in enumerate(ratio)], fontsize=size)
    axes.set(xlim=(-0.6, heads - 0.4), ylim=limits)
    axes.tick_params(axis="y", labelsize=7, labelleft=True)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)


def _star(
    axes: Axes,
    node: int,
    star: list[tuple[int, float]],
    itself: float | None,
    colours: Mapping[int, Any],
    scale: float,
    blues: Any,
    numbered: float,
) -> None:
    """One head: the node in the middle, lines from its sources, the six strongest with their number from `numbered` on."""
    strong = sorted((weight for _, weight in star if weight >= numbered), reverse=True)[:6]
    for i, (source, weight) in enumerate(star):
        angle = math.pi / 2 - 2 * math.pi * i / len(star)
        x, y = math.cos(angle), math.sin(angle)
        part = weight / scale
        axes.plot([0, x], [0, y], color=blues(part), linewidth=0.4 + 5 * part, zorder=1 + part, solid_capstyle="butt")
        axes.plot(x, y, "o", color=colours[source], markersize=8, zorder=3)
        side = "center" if abs(x) < 0.3 else "left" if x > 0 else "right"
        axes.text(1.1 * x, 1.15 * y, str(source), ha=side, va="center", fontsize=5.5, color=INK)
        if weight in strong:
            box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
            axes.text(
                0.68 * x, 0.68 * y, _short(weight, scale), ha="center", va="center", fontsize=5.5, bbox=box, zorder=4
            )
    if itself is not None:
        part = itself / scale
        axes.plot(0, 0, "o", color=blues(part), markersize=17 + 10 * part, zorder=4)
    axes.plot(0, 0, "o", color="white", markersize=17, zorder=4)
    axes.plot(0, 0, "o", color=colours[node], markersize=16, zorder=5)
    if node < 10_000:  # five figures would not fit; the title has them
        axes.text(0, 0, str(node), ha="center", va="center", fontsize=5.5, color="black", zorder=6)
    wide = 1.12 + 0.075 * max((len(str(source)) for source, _ in star), default=1)
    axes.set(xlim=(-wide, wide), ylim=(-1.3, 1.3), aspect="equal")


def _keys(figure: Figure, grid: list[Axes], names: Mapping[str, Any], blues: Any, scale: float) -> None:
    """The colours of classes below, those of weights at the side."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    bar = figure.colorbar(ScalarMappable(Normalize(0, scale), blues), ax=grid, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("attention weight", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    if names:
        dots = [Line2D([], [], marker="o", linestyle="", color=colour, markersize=6) for colour in names.values()]
        wide = max(map(len, names)) * 0.055 + 0.5  # inches an entry takes
        columns = max(1, min(len(names), int(figure.get_figwidth() / wide)))
        figure.legend(dots, list(names), loc="outside lower center", ncols=columns, fontsize=7, frameon=False)


def _class_colours(
    labels: Tensor | None, classes: Sequence[str] | None, nodes: list[int]
) -> tuple[dict[str, Any], dict[int, Any]]:
    """(colour of each class that occurs, by its name; colour of each node), grey without labels."""
    if labels is None:
        return {}, dict.fromkeys(nodes, UNKNOWN)
    from matplotlib import colormaps

    found = {node: int(labels[node]) for node in nodes}
    present, count = sorted({label for label in found.values() if label >= 0}), int(labels.max()) + 1
    # A class has the same colour in every picture of a data set, where there are as many colours as classes.
    maps = {"tab10": 10} if count <= 10 else {"tab20": 20, "tab20b": 20}
    tab = [colormaps[name](i) for name, size in maps.items() for i in range(size)]
    index = {label: (label if count <= len(tab) else i) % len(tab) for i, label in enumerate(present)}
    named = {_name(label, classes): tab[index[label]] for label in present}
    return named, {node: tab[index[label]] if label in index else UNKNOWN for node, label in found.items()}


def _name(label: int, classes: Sequence[str] | None) -> str:
    name = classes[label] if classes and label < len(classes) else str(label)
    return f"class {name}" if name.isdigit() else name


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("weight", ["#d5dae3", "#7f9bc8", "#2f4b7c", "#0d1b33"])


def _short(weight: float, scale: float) -> str:
    """.12, or .012 where no weight is larger than 0.1."""
    return f"{weight:.{2 if scale > 0.1 else 3}f}".removeprefix("0")
