"""A part of a model that is a model of another kind (`Model.trunk`), started from the weights of one of these."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from zoo.models.base import Trunk
from zoo.pretrained.adapt import Change, adapt_all, exchange_heads
from zoo.pretrained.weights import State


def trunk_for(whole: Any, kind: Any) -> Trunk | None:
    """The part of a class of model that weights of another class can start; None where they are not of it."""
    trunk: Trunk | None = getattr(whole, "trunk", None)
    return trunk if trunk and isinstance(kind, type) and issubclass(kind, trunk.kind) else None


def around(config: Mapping[str, Any], trunk: Trunk, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The whole's config, its trunk as `theirs` has it."""
    own = inspect.signature(trunk.kind).parameters
    usual = {key: own[key].default for key in trunk.settings}
    return {**config, **usual, **{key: theirs[key] for key in trunk.settings if key in theirs}}


def adapt_trunk(
    state: State, whole: nn.Module, trunk: Trunk, source: nn.Module | None
) -> tuple[nn.Module, State, list[Change]]:
    """As `adapt_all`, of the part alone.

    Returns: the part, the tensors for it, and what was changed, by the whole's names; other parts of the whole are new.
    """
    part: Any = whole.get_submodule(trunk.name)
    state, changes = adapt_all(state, part, source)
    changes += exchange_heads(state, part, trunk.ends)
    changes = [replace(change, name=f"{trunk.name}.{change.name}") for change in changes]
    known = {id(tensor) for tensor in part.parameters()}
    for name, other in whole.named_children():
        new = [tensor for tensor in other.parameters() if id(tensor) not in known]
        known |= {id(tensor) for tensor in new}
        if new:
            changes.append(Change(name, (), (), f"new, {sum(tensor.numel() for tensor in new):,} parameters"))
    return part, state, changes
