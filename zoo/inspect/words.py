"""What a part says of itself: its equation, from the first sentence of its docstring, and its settings."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from zoo.attention import And, Attention, Full, GraphEdges, Or, Pattern, Position, Score, SkipPrefix
from zoo.config import locate
from zoo.models.base import GraphModel
from zoo.models.language.base import LanguageModel

HANDED = ("prefix", "edge_dim")  # settings with a default that a model decides, not a user


def first_line(kind: Callable[..., Any]) -> str:
    """The first sentence of a class's own docstring, else of its module's: where its equation stands."""
    words = vars(kind).get("__doc__") or sys.modules[kind.__module__].__doc__ or ""
    paragraph = " ".join(inspect.cleandoc(words).split("\n\n")[0].split()).replace("`", "")
    # A dot between spaces is a product.
    return re.split(r"(?<!\s)(?<!\bet al)\.(?=\s|$)", paragraph)[0] + "."


def equation(part: Any) -> str:
    """The rule of a pattern, an `&` or `|` spelt out; the first sentence of any other part."""
    if isinstance(part, And | Or):
        word = "and" if isinstance(part, And) else "or"
        return f"({equation(part.left)}) {word} ({equation(part.right)})"
    line = first_line(type(part)).rstrip(".")
    return re.split(r"[:;] ", line)[0] if isinstance(part, Pattern) else line


def title(part: Any) -> str:
    """A part as one writes it, `Causal() & Window(size=8)`, `RoPE(base=100.0)`; a module without its defaults."""
    if isinstance(part, And | Or):
        return f"{title(part.left)} {'&' if isinstance(part, And) else '|'} {title(part.right)}"
    if isinstance(part, Pattern):
        fields = ((field.name, getattr(part, field.name)) for field in dataclasses.fields(part))
        return f"{type(part).__name__}({', '.join(f'{name}={value}' for name, value in fields)})"
    settings = inspect.signature(type(part)).parameters.values()
    defaults = {p.name: p.default for p in settings if p.default is not p.empty and p.name not in HANDED}
    chosen = {name: getattr(part, name, default) for name, default in defaults.items()}
    changed = [f"{name}={x}" for name, x in chosen.items() if isinstance(x, int | float | str) and x != defaults[name]]
    return type(part).__name__ + (f"({', '.join(changed)})" if changed else "")


def sentence(model: nn.Module) -> str | None:
    """score x pattern x position of a model, as docs/design.md names models; None if it has no attention.

    A graph model joins its own `pattern`, the graph's edges where it has none, to those of its layers.
    """
    found: dict[str, None] = {}  # in order, each once: layers may differ
    for module in model.modules():
        if isinstance(score := getattr(module, "score", None), Score):
            places = [getattr(each, "position", None) for each in (model, module)]
            where = " + ".join(title(place) for place in map(_inner, places) if _does_something(place)) or "no position"
            found[f"{title(score)} x {title(_pattern(model, module))} x {where}"] = None
    return "; ".join(found) or None


def _pattern(model: nn.Module, module: nn.Module) -> Pattern:
    """What a query sees: the module's pattern, joined to what tokens of a language model see, or to the edges of a graph."""
    from zoo.layers.graph_attention import GraphAttention
    from zoo.layers.relational import RelationalAttention

    own: Any = getattr(module, "pattern", None) or Full()
    if isinstance(model, LanguageModel):
        return own if isinstance(model.sees, Full) else model.sees if isinstance(own, Full) else model.sees & own
    of_graphs = isinstance(model, GraphModel) or any(isinstance(each, GraphAttention) for each in model.modules())
    if not of_graphs or not isinstance(module, Attention | RelationalAttention):
        return own
    along: Any = getattr(model, "pattern", None) or GraphEdges()
    return along & own


def _inner(position: Position | None) -> Position | None:
    return position.position if isinstance(position, SkipPrefix) else position


def _does_something(position: Position | None) -> bool:
    return position is not None and type(position) is not Position


def summary(config: Mapping[str, Any]) -> str:
    """One line for what a config with a `_target_` builds."""
    kind = locate(config["_target_"])
    if kind in (And, Or):
        word = "&" if kind is And else "|"
        return f"{_short(config['left'])} {word} {_short(config['right'])}: " + first_line(kind)
    return first_line(kind)


def _short(config: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in config.items() if not key.startswith("_"))
    return f"{config['_target_'].rpartition('.')[2]}({settings})"
