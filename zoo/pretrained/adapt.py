"""Weights for other image sizes, channels and classes: each tensor that changes is told (docs/criteria.md, B1).

Open to other layers: `@adapt.register(TheirClass)`.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.attention import Learned, Learned2D, RelativeBias2D
from zoo.attention.positions.grids import resample_grid
from zoo.checked.fits import with_tied
from zoo.layers import PatchEmbed
from zoo.layers.exogenous_patches import ExogenousPatches
from zoo.layers.series_patches import ChannelLinear
from zoo.models import Model
from zoo.pretrained.weights import State


@dataclass(frozen=True)
class Change:
    """One tensor that is not as it was in the source, or a part that is not there. `str()` is a line for the log."""

    name: str
    old: tuple[int, ...]
    new: tuple[int, ...]
    how: str

    @property
    def anew(self) -> bool:
        """Whether it starts at random, as a classifier of other classes does."""
        return self.how.startswith(("reset", "new"))

    def __str__(self) -> str:
        if not self.old and not self.new:
            return f"{self.name}: {self.how}"
        return f"{self.name} {list(self.old)} -> {list(self.new)}: {self.how}"


def adapt_all(state: State, target: nn.Module, source: nn.Module | None) -> tuple[State, list[Change]]:
    """Tensors of a source, made to fit `target` where only sizes of the data differ.

    Args:
        state: the source's tensors.
        target: the model they shall go into.
        source: a model of the source's config, where that is known; only its sizes are looked at.

    Returns: the tensors (others than `state` where changed), and what was changed.
    """
    state, changes = dict(state), []
    twins = dict(source.named_modules()) if source else {}
    for place, module in target.named_modules():
        prefix = f"{place}." if place else ""
        inside = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
        if isinstance(target, Model) and place.partition(".")[0] in target.of_data:
            found = refit(module, inside, target.num_prefix_tokens)
        else:
            found = reset(module, inside) if place == "head" else adapt(module, twins.get(place), inside)
        for name, (tensor, how) in found.items():
            changes.append(Change(prefix + name, tuple(inside[name].shape), tuple(tensor.shape), how))
            state[prefix + name] = tensor
    if isinstance(target, Model):
        if target.num_classes == 0 and isinstance(target._modules.get("head"), nn.Identity):  # features are asked for
            for name in [name for name in state if name.startswith("head.")]:
                changes.append(Change(name, tuple(state.pop(name).shape), (), "left out, this model has no classifier"))
        changes += exchange_heads(state, target)
        changes += renew(state, target)
    return state, changes


def exchange_heads(state: State, model: Model, heads: Collection[str] | None = None) -> list[Change]:
    """What stands at the end where a model was trained for another task: parts of `heads` (None: `model.heads`) that the source
    has and the model has not are left out, those that it has not begin anew. `state` is changed."""
    own = model.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    for name, tensor in own.items():  # a head that is the embedding is not the source's classifier
        if (same := first.setdefault(id(tensor), name)) != name and same in state:
            state.pop(name, None)
    whole, changes = with_tied(model, state), []
    for name in [*state, *own]:
        if name.partition(".")[0] not in (model.heads if heads is None else heads):
            continue
        if name not in own:
            gone = state.pop(name)
            changes.append(Change(name, tuple(gone.shape), (), "left out, this model has another head"))
        elif name not in whole:
            state[name] = own[name].detach()
            changes.append(Change(name, (), tuple(own[name].shape), "new"))
    return changes


def renew(state: State, model: Model) -> list[Change]:
    """Each part of `model.renewed` that is another in the source begins anew, all of it. `state` is changed."""
    own, changes = model.state_dict(), []
    for part in model.renewed:
        mine, theirs = (
            {name: each[name] for name in each if name.startswith(f"{part}.") or name == part} for each in (own, state)
        )
        if {name: tensor.shape for name, tensor in mine.items()} == {name: t.shape for name, t in theirs.items()}:
            continue
        for name, tensor in theirs.items():
            del state[name]
            if name not in mine:
                changes.append(Change(name, tuple(tensor.shape), (), "left out, for other data"))
        for name, tensor in mine.items():
            state[name] = tensor.detach()
            old = tuple(theirs[name].shape) if name in theirs else ()
            changes.append(Change(name, old, tuple(tensor.shape), "reset, for other data" if old else "new"))
    return changes


Found = dict[str, tuple[Tensor, str]]  # name inside the module -> the new tensor, and how it came about


@singledispatch
def adapt(module: nn.Module, twin: nn.Module | None, state: State) -> Found:
    """What of `state`, the tensors of one module by their names inside it, must change to fit `module`.

    `twin` is the module of the same name in the source, where its config is known.
    """
    return {}


@adapt.register
def _(module: Learned2D, twin: nn.Module | None, state: State) -> Found:
    """The grid of positions is read off at other places; positions of class and register tokens stay."""
    if (table := state.get("table")) is None or table.shape[1:] != module.table.shape[1:]:
        return {}
    cells = len(table) - module.prefix
    side = math.isqrt(max(cells, 0))
    new = (module.grid[0], module.grid[1])
    if isinstance(twin, Learned2D):
        old = (twin.grid[0], twin.grid[1])
    elif cells == math.prod(new):  # nothing tells the grid: the same if that can be
        old = new
    else:  # else a square
        old = (side, side)
    if old == new or cells != math.prod(old):
        return {}
    how = f"positions resampled from a grid of {old} to {new}"
    return {"table": (resample_grid(table, old, new, module.prefix), how)}


@adapt.register
def _(module: RelativeBias2D, twin: nn.Module | None, state: State) -> Found:
    """The grid of offsets is read off at other places; entries of class and register tokens stay."""
    table, new = state.get("table"), module.offsets
    if table is None or table.shape[1:] != module.table.shape[1:] or not isinstance(twin, RelativeBias2D):
        return {}
    own, old = len(module.table) - math.prod(new), twin.offsets
    if old == new or len(table) - own != math.prod(old):
        return {}
    cells = len(table) - own
    there = torch.cat([resample_grid(table[:cells], old, new), table[cells:]])
    return {"table": (there, f"biases resampled from offsets of a grid of {twin.grid} to {module.grid}")}


@adapt.register
def _(module: PatchEmbed, twin: nn.Module | None, state: State) -> Found:
    pixels = module.patch_size**2
    weight = state.get("proj.weight")
    if weight is None or weight.shape[1] % pixels or weight.shape[1] // pixels == module.in_chans:
        return {}
    if twin is not None and twin.patch_size != module.patch_size:
        return {}
    new, how = channels(weight.unflatten(1, (-1, pixels)), module.in_chans)
    return {"proj.weight": (new.flatten(1), how)}


@adapt.register
def _(module: nn.Conv2d, twin: nn.Module | None, state: State) -> Found:
    weight = state.get("weight")
    if weight is None or module.groups != 1 or weight.shape[1] == module.in_channels:
        return {}
    if weight.shape[0] != module.out_channels or weight.shape[2:] != module.weight.shape[2:]:
        return {}
    return {"weight": channels(weight, module.in_channels)}


@adapt.register
def _(module: ChannelLinear | ExogenousPatches, twin: nn.Module | None, state: State) -> Found:
    """What is of each channel, or of each exogenous column, begins anew where others, or other steps of them, are there."""
    own = {name: tensor for name, tensor in module.named_parameters(recurse=False) if name in state}
    how = "reset, for data of other sizes"
    return {name: (tensor.detach(), how) for name, tensor in own.items() if tensor.shape != state[name].shape}


def channels(weight: Tensor, n: int) -> tuple[Tensor, str]:
    """[out, C, ...] -> [out, n, ...]: summed for one channel, else repeated and scaled to keep the size of their sum.

    As timm's adapt_input_conv does, so that a gray image gives what three equal channels gave.
    """
    old = weight.shape[1]
    if n == 1:
        return weight.sum(1, keepdim=True), f"summed over {old} channels"
    repeated = weight.repeat(1, math.ceil(n / old), *[1] * (weight.ndim - 2))[:, :n]
    return repeated * (old / n), f"{old} channels repeated to {n}, times {old}/{n}"


def reset(head: nn.Module, state: State) -> Found:
    """A classifier of another number of classes starts anew."""
    weight = state.get("weight")
    if not isinstance(head, nn.Linear) or weight is None or weight.shape[0] == head.out_features:
        return {}
    if weight.shape[1] != head.in_features:
        return {}
    how = f"reset, {weight.shape[0]} classes became {head.out_features}"
    return {name: (tensor.detach(), how) for name, tensor in head.state_dict().items() if name in state}


def refit(module: nn.Module, state: State, prefix: int = 0) -> Found:
    """What other data have of other sizes: a map begins anew, positions in a row are read off at other places.

    Args:
        prefix: positions in front that stand for no place in the data, and stay.
    """
    if isinstance(module, nn.Linear):
        own = module.state_dict()
        differ = any(name in state and state[name].shape != tensor.shape for name, tensor in own.items())
        how = "reset, for data of other sizes"
        return {name: (tensor.detach(), how) for name, tensor in own.items() if name in state} if differ else {}
    table = state.get("table")
    if not isinstance(module, Learned) or table is None or table.shape[1:] != module.table.shape[1:]:
        return {}
    old, new = len(table) - prefix, len(module.table) - prefix
    if old == new or min(old, new) < 1:
        return {}
    places = F.interpolate(table[prefix:].T.unsqueeze(0).float(), size=new, mode="linear", align_corners=True)
    there = torch.cat([table[:prefix], places[0].T.to(table.dtype)])
    return {"table": (there, f"positions resampled from {old} in a row to {new}")}
