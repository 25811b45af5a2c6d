"""From a config to objects in three steps: look each `_target_` up, check its arguments, call it.

Nothing is looked up twice, so what was checked is what is called. Who may be called is the business of the function that
looks names up: `zoo.config.locate` for the user's own words, `zoo.declared.find` for a file's.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

from zoo.errors import ZooError, nearest, one_line

#: (dotted name, path of the key that says it) -> the class or function
Find = Callable[[Any, str], Callable[..., Any]]
# Words of Hydra beside `_target_`. `_convert_` means nothing here: every container is a plain one.
RESERVED = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
NUMBERS = {int, float, bool, type(None)}


class NotBuilt(ZooError):
    """A target that refused its arguments with an error of its own, which is the cause."""


@dataclass(frozen=True)
class Call:
    """One mapping with a `_target_`, looked up.

    path: where it stands. name: what it says. target: what that means. given: its arguments as they stand, settings: with
    calls in place of the mappings inside. partial: whether to bind the arguments only; recursive: whether to build inside.
    """

    path: str
    name: str
    target: Callable[..., Any]
    given: dict[str, Any]
    settings: dict[str, Any]
    partial: bool = False
    recursive: bool = True


def resolve(node: Any, find: Find, path: str = "") -> Any:
    """A copy of plain containers in which each mapping with a `_target_` is a Call."""
    if isinstance(node, list | tuple):
        return [resolve(value, find, f"{path}[{i}]") for i, value in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    inside = {key: resolve(value, find, f"{path}.{key}".lstrip(".")) for key, value in node.items()}
    if "_target_" not in node:
        return inside
    target = find(node["_target_"], f"{path}._target_".lstrip("."))
    given, settings = ({key: value for key, value in of.items() if key not in RESERVED} for of in (node, inside))
    how = node.get("_partial_", False), node.get("_recursive_", True)
    return Call(path, node["_target_"], target, given, settings, *map(bool, how))


def calls(tree: Any) -> Iterator[Call]:
    """Every call, outermost first."""
    if isinstance(tree, Call):
        yield tree
        tree = tree.settings
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from calls(value)


def check(tree: Any) -> None:
    """Refuse each argument that its target's signature does not accept, and text where a number must stand (A6)."""
    for call in calls(tree):
        try:
            parameters = inspect.signature(call.target).parameters.values()
        except ValueError:  # written in C, without a signature
            continue
        known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            continue
        hints = argument_types(call.target)
        for key, value in call.given.items():
            name = f"{call.path}.{key}".lstrip(".")
            if key not in known:
                raise ZooError(
                    f"{name}={one_line(repr(value), 200)} is not a setting of {call.name}; {nearest(key, known)}"
                )
            if isinstance(value, str) and hints.get(key) and hints[key] <= NUMBERS:
                kinds = " or ".join(sorted(kind.__name__ for kind in hints[key] - {type(None)}))
                raise ZooError(f"{name}={one_line(repr(value), 200)} is not a number; {call.name} takes {kinds} there.")


def make(tree: Any, **objects: Any) -> Any:
    """Call what a tree of `resolve` says, innermost first.

    Args:
        objects: handed to the outermost call as they are; a partial one is called then.
    Raises: NotBuilt for whatever a target raises but a ZooError, which passes.
    """
    if isinstance(tree, list):
        return [make(value) for value in tree]
    if isinstance(tree, dict):
        return {key: make(value) for key, value in tree.items()}
    if not isinstance(tree, Call):
        return tree
    arguments = (make(tree.settings) if tree.recursive else tree.given) | objects
    if tree.partial and not objects:
        return functools.partial(tree.target, **arguments)
    try:
        return tree.target(**arguments)
    except ZooError:
        raise
    except Exception as error:  # the target's own, of whatever kind
        told = str(error).partition("Exception raised from")[0]  # behind it: torch's frames in C++
        why = one_line(told) or type(error).__name__
        where = f"{tree.path} ({tree.name})" if tree.path else tree.name
        raise NotBuilt(f"{where} cannot be built: {why} (HYDRA_FULL_ERROR=1 shows where.)") from error


def argument_types(target: Callable[..., Any]) -> dict[str, set[Any]]:
    """The types that each argument may have, where the target says so and they can be looked up."""
    try:
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # names that are imported for type checkers only
        return {}
    unions = (typing.Union, UnionType)
    return {name: set(typing.get_args(t)) if typing.get_origin(t) in unions else {t} for name, t in hints.items()}
