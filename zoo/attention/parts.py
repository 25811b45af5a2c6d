"""Parts are injected: a part is a module, or a factory that takes what it needs from the facts at hand."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from zoo.attention.patterns import Pattern
from zoo.attention.patterns.base import check_part
from zoo.errors import ZooError

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def build(part: nn.Module | Callable[..., Any] | None, **facts: Any) -> Any:
    """Make a part. A module (or None) is returned as it is; a class, function or partial is called with those `facts`
    (dim, num_heads, head_dim, grid, ...) that its signature names and that are not bound already.

        build(RoPE, head_dim=64, num_heads=8)              -> RoPE(head_dim=64)
        build(partial(RoPE, base=500.), head_dim=64)       -> RoPE(head_dim=64, base=500.)
    """
    return part if part is None or isinstance(part, nn.Module) else bind(part, **facts)()


def bind(part: Any, **facts: Any) -> Any:
    """As `build`, but the part is not made yet: the factory, with those `facts` bound to it."""
    if part is None or isinstance(part, nn.Module):
        return part
    bound = getattr(part, "keywords", {})
    named = inspect.signature(part).parameters
    return partial(part, **{name: value for name, value in facts.items() if name in named and name not in bound})


def unbind(part: Any, name: str) -> tuple[Any, Any]:
    """(what a factory has bound to `name` or None, the factory without it): a model takes over what it decides itself.

    unbind(partial(Attention, pattern=Causal(), kernel="sdpa"), "pattern")   -> Causal(), partial(Attention, kernel="sdpa")
    """
    bound = getattr(part, "keywords", {})
    if name not in bound:
        return None, part
    rest = {key: value for key, value in bound.items() if key != name}
    return bound[name], partial(part.func, *part.args, **rest)


def make_pattern(part: Any, **facts: Any) -> Pattern:
    """A pattern: one that is given, or what a factory makes of those `facts` (grid, prefix, ...) that its signature names.

        make_pattern(partial(Window2D, size=2), grid=(4, 4), prefix=1)   -> Window2D(2, (4, 4), 1)

    Raises: ZooError for what makes no pattern, or asks for more than there is.
    """
    if not isinstance(part, Pattern) and callable(part):
        bound = getattr(part, "keywords", {})
        needed = [
            x.name
            for x in inspect.signature(part).parameters.values()
            if x.default is x.empty and x.kind not in VARIADIC
        ]
        if missing := [name for name in needed if name not in {**facts, **bound}]:
            name = getattr(getattr(part, "func", part), "__name__", repr(part))
            raise ZooError(
                f"The pattern {name} needs {', '.join(missing)}, and this model has {', '.join(facts) or 'nothing'} to give: "
                "bind it (functools.partial, or a key of the pattern's config), or take another pattern."
            )
        part = build(part, **facts)
    check_part("pattern", part, Pattern)
    return part
