"""Parts are injected: a part is a module, or a factory that takes what it needs from the facts at hand."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn


def build(part: nn.Module | Callable[..., Any] | None, **facts: Any) -> Any:
    """Make a part. A module (or None) is returned as it is; a class, function or partial is called with those `facts`
    (dim, num_heads, head_dim, grid, ...) that its signature names and that are not bound already.

        build(RoPE, head_dim=64, num_heads=8)              -> RoPE(head_dim=64)
        build(partial(RoPE, base=500.), head_dim=64)       -> RoPE(head_dim=64, base=500.)
    """
    if part is None or isinstance(part, nn.Module):
        return part
    bound = getattr(part, "keywords", {})
    named = inspect.signature(part).parameters
    return part(**{name: value for name, value in facts.items() if name in named and name not in bound})


def unbind(part: Any, name: str) -> tuple[Any, Any]:
    """(what a factory has bound to `name` or None, the factory without it): a model takes over what it decides itself.

    unbind(partial(Attention, pattern=Causal(), kernel="sdpa"), "pattern")   -> Causal(), partial(Attention, kernel="sdpa")
    """
    bound = getattr(part, "keywords", {})
    if name not in bound:
        return None, part
    rest = {key: value for key, value in bound.items() if key != name}
    return bound[name], partial(part.func, *part.args, **rest)
