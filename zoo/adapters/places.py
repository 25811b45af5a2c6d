"""Where adapters go: maps by their usual names (q k v o up gate down), or Linears by patterns of their names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from zoo.attention.linear import is_linear
from zoo.attention.maps import NAMES
from zoo.errors import ZooError, nearest


@dataclass(frozen=True)
class Place:
    """Rows start:stop of the Linear of that name. part: their name, `q`, `kv` where two are one map, or `all` of its rows."""

    linear: str
    part: str
    start: int
    stop: int


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The maps that can be adapted, by name; what a subclass of Linear computes is its own business."""
    return {name: module for name, module in model.named_modules() if is_linear(module)}


def named_places(model: nn.Module) -> dict[str, list[Place]]:
    """Name -> where in the model a map of that name lies; of names that the model has not, nothing."""
    known, parts = linears(model), dict[tuple[str, int, int], list[str]]()
    for name, module in model.named_modules():
        maps: Any = getattr(module, "maps", None)
        for part, (linear, start, stop) in (maps if isinstance(maps, dict) else {}).items():
            whole = f"{name}.{linear}" if name else linear
            if whole in known:
                end = known[whole].out_features if stop is None else stop
                parts.setdefault((whole, start, end), []).append(part)
    found: dict[str, list[Place]] = {}
    for (linear, start, stop), names in parts.items():
        for name in names:  # q, k and v of a GAT are one map
            found.setdefault(name, []).append(Place(linear, "".join(names), start, stop))
    return found


def find_places(model: nn.Module, targets: Sequence[str]) -> list[Place]:
    """The places that targets mean, each once and none within another, in the order of the model.

    Args:
        targets: of `zoo.attention.maps.NAMES`, or patterns of names of Linears (`head`, `blocks.0.*`, `*.fc1`); a pattern
            may leave out the beginning of a name, up to a dot.
    Raises: ZooError for a target that matches nothing, with what there is.
    """
    if isinstance(targets, str) or not targets or not all(isinstance(target, str) for target in targets):
        raise ZooError(f"adapter.targets={targets!r} is not a list of maps; give some, such as [q,v].")
    named, known = named_places(model), linears(model)
    found: set[Place] = set()
    for target in targets:
        if target in NAMES:
            places = named.get(target, [])
        else:
            matching = [name for name in known if fnmatchcase(name, target) or fnmatchcase(name, f"*.{target}")]
            places = [Place(name, "all", 0, known[name].out_features) for name in matching]
        if not places:
            there = dict.fromkeys([*(name for name in NAMES if name in named), *_shortened(known)])
            raise ZooError(
                f"adapter.targets: {target!r} matches no linear map of this {type(model).__name__}; {nearest(target, there)}"
            )
        found |= set(places)
    wide = {name: {place for place in found if place.linear == name} for name in {place.linear for place in found}}
    kept = [
        place
        for place in found
        if not any(_within(place, other) and _first(other, place) for other in wide[place.linear])
    ]
    order = {name: i for i, name in enumerate(known)}
    return sorted(kept, key=lambda place: (order[place.linear], place.start))


def _within(inner: Place, outer: Place) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def _first(a: Place, b: Place) -> bool:
    """Which of two stays where one lies within the other: the wider, of equally wide the named."""
    return (a.stop - a.start, a.part != "all") > (b.stop - b.start, b.part != "all")


def _shortened(names: Sequence[str] | dict[str, Any]) -> list[str]:
    """Names with their numbers as stars, each once."""
    return list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in names))
