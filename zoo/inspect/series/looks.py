"""Where a forecaster looks: its recorded attention, with patches, steps or channels named on both axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from zoo.attention import Attention, record_attention
from zoo.errors import ZooError
from zoo.inspect.plots import new_figure, save
from zoo.inspect.series.errors import moved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADS, ROWS, LABELS = 6, 4, 9  # heads and rows of maps that a figure shows; names on an axis


class Axis(NamedTuple):
    """what: "patches", "steps", "channels". names: of each of them."""

    what: str
    names: Sequence[str]


class Map(NamedTuple):
    """weights: [H, Q, K], rows that add up to 1."""

    title: str
    weights: Tensor
    queries: Axis
    keys: Axis


@torch.no_grad()
def forecast_of(model: Any, batch: Mapping[str, Tensor]) -> Any:
    """What the model forecasts for a batch, in eval mode, on the CPU."""
    model.eval()
    return _cpu(model.forward(*model.inputs(moved(batch, next(model.parameters()).device))))


@torch.no_grad()
def read(model: Any, window: Mapping[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
    """(what the model forecasts for one window [1, ...], the weights [rows, H, Q, K] of each attention by path), on the CPU.

    Where an attention runs several times, as along the patches and along the channels, each of its runs has an entry. Empty
    for a model without attention.
    """
    if not any(isinstance(module, Attention) for module in model.modules()):
        return forecast_of(model, window), {}
    given = model.eval().inputs(moved(window, next(model.parameters()).device))
    # A call, which tells the recorder where a forward begins; eager, also where calls are compiled.
    with record_attention(model) as recorded, torch.compiler.set_stance("force_eager"):
        forecast = _cpu(model(*given))
    found = {}
    for path, runs in recorded.items():
        runs = runs if isinstance(runs, list) else [runs]
        for i, weights in enumerate(runs):
            found[f"{path}, run {i + 1}" if len(runs) > 1 else path] = weights.float().cpu()
    return forecast, found


def by_kind(model: Any, recorded: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, list[Map]]:
    """The last layer of each kind of attention (paths that differ in a layer's number alone are one kind) of one window: one
    map; of a model that reads each channel alone, a map a channel; the mean where rows are something else.

    Args:
        model: whose `tokens` says what a token of it is.
        recorded: weights by path, as `read` gives them.
        names: of the channels.
    """
    last = {re.sub(r"\.\d+\b", ".*", path): (path, weights) for path, weights in recorded.items()}
    found: dict[str, list[Map]] = {}
    for path, weights in last.values():
        title, rows = path.replace("_", " "), weights
        queries, keys = (axis(model, n, names) for n in weights.shape[-2:])
        if "exogenous" in path or re.match(r"encoder\.\d+\.cross_attn", path):
            queries, keys = patches_of_all(model, queries, names), columns(model, weights.shape[-1])
        titles = [title]
        if len(rows) == len(names) > 1 and queries.what != "channels":
            titles = [f"{name}\n{title}" for name in names]
        elif len(rows) > 1:
            rows, titles = rows.mean(0, keepdim=True), [f"{title}\nmean of {len(rows)} rows"]
        found[title] = [Map(*both, queries, keys) for both in zip(titles, rows, strict=True)]
    return found


def maps_of(model: Any, recorded: Mapping[str, Tensor], names: Sequence[str]) -> list[Map]:
    """`by_kind` in one list. Raises: ZooError where nothing was recorded."""
    if not recorded:
        raise ZooError(f"{type(model).__name__} has no attention to draw.")
    return [each for maps in by_kind(model, recorded, names).values() for each in maps]


def axis(model: Any, n: int, names: Sequence[str]) -> Axis:
    """What n tokens of a model are: its patches, its channels, steps of its lookback (to 0, the last that was observed), of
    decoder and horizon, or, of layers that were distilled, as many equal parts of the lookback."""
    lookback, horizon, prefix = model.lookback, model.horizon, ["CLS"] * model.num_prefix_tokens
    if model.tokens == "patches" and n == len(spans := model.patches()) + len(prefix):
        patches = [f"{a - lookback + 1} ... {min(b - lookback, 0)}" for a, b in spans]
        return Axis("patches, by their steps", prefix + patches)
    if n == len(names) and model.tokens != "steps":
        return Axis("channels", list(names))
    if model.tokens == "steps":
        start = getattr(model, "start", 0)
        if n == lookback:
            return Axis("steps of the lookback", [str(i - lookback + 1) for i in range(n)])
        if n == start + horizon:
            return Axis("steps of start and horizon", [str(i - start + 1) for i in range(n)])
        if 1 < n < lookback:
            ends = [f"{(i + 1) * lookback / n - lookback:.0f}" for i in range(n)]
            return Axis(f"lookback, {lookback / n:.3g} steps each", ends)
    return Axis("tokens", list(map(str, range(n))))


def patches_of_all(model: Any, queries: Axis, names: Sequence[str]) -> Axis:
    """What the patches of all channels side by side are, as they ask exogenous columns; else `queries` as they are."""
    if model.tokens != "patches" or len(queries.names) != len(names) * (
        len(spans := model.patches()) + model.num_prefix_tokens
    ):
        return queries
    ends = ["CLS"] * model.num_prefix_tokens + [min(end - model.lookback, 0) for _, end in spans]
    return Axis("patches, by channel and last step", [ended(name, end) for name in names for end in ends])


def columns(model: Any, n: int) -> Axis:
    """What n tokens of exogenous columns are, where the model knows the columns: their names, with the last step of a patch."""
    known = model.preprocess
    if known is not None:
        texts = [name for name in known.static if name in known.categories]
        names = [*known.past, *known.future, *texts, *(name for name in known.static if name not in texts)]
        if n == len(names):
            return Axis("exogenous columns", names)
        spans: list[tuple[int, Any]] = getattr(getattr(model, "exogenous", None), "last_steps", list)()
        if n == len(spans):
            return Axis("exogenous columns, by last step", [ended(names[column], end) for column, end in spans])
    return Axis("tokens of exogenous columns", list(map(str, range(n))))


def ended(name: str, end: int | str | None) -> str:
    """A name, short enough for an axis, and the last step of its patch, if it has one."""
    return name if end is None else f"{name if len(name) < 10 else name[:8] + '…'} {end}"


def plot_maps(maps: Sequence[Map], png: str | Path, title: str) -> Path:
    """A row a map, a column a head (6 at most, and their mean): the row of a map is what looks, the column what it looks at.

    The colour of each map runs from 0 (black) to its own largest weight.
    """
    shown = list(maps[:ROWS])
    heads = max(min(len(each.weights), HEADS) for each in shown)
    columns = heads + (heads > 1)
    figure = new_figure(2.15 * columns + 1.1, 2.1 * len(shown) + 1.2)
    more = f"; {len(shown)} of {len(maps)}" if len(maps) > len(shown) else ""
    figure.suptitle(f"{title}{more}\nblack 0, bright each map's largest weight", fontsize=9)
    for at, (row, each) in enumerate(zip(figure.subplots(len(shown), columns, squeeze=False), shown, strict=True)):
        below = at + 1 == len(shown) or shown[at + 1].keys != each.keys  # else the names stand under the next one
        panels = dict[str, Tensor]({f"head {h}": each.weights[h] for h in range(min(len(each.weights), heads))})
        if len(each.weights) > 1:
            panels = {f"mean of {len(each.weights)} heads": each.weights.mean(0), **panels}
        for one in row[len(panels) :]:
            one.set_axis_off()
        for i, (one, (name, weights)) in enumerate(zip(row, panels.items(), strict=False)):
            draw_map(one, weights, each, rows=i == 0, columns=below)
            one.set_title(f"{name}\nlargest {weights.max():.2g}", fontsize=7)
        row[0].set_ylabel(f"{each.title}\n\n{each.queries.what}", fontsize=7)
    return save(figure, png)


def draw_map(axes: Axes, weights: Tensor, named: Map, rows: bool = True, columns: bool = True) -> None:
    """One map [Q, K] with names on its axes: of rows, of columns."""
    most = max(weights.max().item(), 1e-12) if weights.numel() else 1.0
    axes.imshow(weights.numpy(), cmap="magma", vmin=0, vmax=most, interpolation="nearest", aspect="auto")
    places, labels = ticks(named.keys)
    slanted = max(map(len, labels), default=0) > 3
    axes.set_xticks(places, labels if columns else [""] * len(places), fontsize=6, rotation=90 if slanted else 0)
    places, labels = ticks(named.queries)
    axes.set_yticks(places if rows else [], labels if rows else [], fontsize=6)
    if columns:
        axes.set_xlabel(named.keys.what, fontsize=7)
    axes.tick_params(length=2)
    axes.spines[:].set_visible(False)


def ticks(axis: Axis) -> tuple[list[int], list[str]]:
    """Places and names: all of few, of many nine at most, equally far apart up to the last."""
    n = len(axis.names)
    places = range((n - 1) % (apart := -(-n // LABELS)), n, apart)
    return list(places), [axis.names[i] if len(axis.names[i]) <= 16 else f"{axis.names[i][:15]}…" for i in places]


def _cpu(forecast: Any) -> Any:
    """A Forecast whose tensors lie on the CPU, in float32."""

    def here(part: Any) -> Any:
        if isinstance(part, Tensor):
            return part.float().cpu()
        return tuple(map(here, part)) if isinstance(part, tuple) else part

    return type(forecast)(*map(here, forecast))
