"""In what a model differs from the one that a config describes, by the names of its parts: what another library cannot express.

The two are walked side by side, the other one without memory: another class at a place, another setting of it, a tensor that
the other has not. What only training looks at (rates of dropout, start values) and who computes (kernels) does not count.
"""

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import partial
from types import FunctionType
from typing import Any

from torch import nn

from zoo import construct
from zoo.attention.linear import is_linear
from zoo.checked import model as checked
from zoo.config import locate
from zoo.models import Model

PASSED_OVER = {"training", "kernel", "recorder", "drop", "dropout", "p", "inplace", "init_values"}
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.Identity)
PLAIN = (bool, int, float, str, tuple, FunctionType, partial)
BLOCK = re.compile(r"\.\d+\b")
SHOWN = 8


def differing(
    model: nn.Module, config: dict[str, Any], *, but: frozenset[str] = frozenset(), zeros: bool = False
) -> list[str]:
    """Each difference as `place=value`, `*` for the number of a block; empty where there is none.

    Args:
        config: plain, of a model of ours.
        but: names of attributes that may differ.
        zeros: a bias that the model has not may be there, as zeros.
    """
    most = checked.Most(numbers=10**13, tensors=100_000)
    other = checked.sketch(construct.resolve(config, locate), "the model of the other library", most)
    found = [f"{BLOCK.sub('.*', place)}={value}" for place, value in _differences(model, other, PASSED_OVER | but)]
    unique = [each for each in dict.fromkeys(found) if not (zeros and each.endswith(".bias=none"))]
    return unique[:SHOWN] + [f"{len(unique) - SHOWN} more"] * (len(unique) > SHOWN)


def _differences(model: nn.Module, other: nn.Module, but: frozenset[str] | set[str]) -> Iterator[tuple[str, str]]:
    ours, theirs = _parts(model), _parts(other)
    refused: tuple[str, ...] = ()
    for path in sorted({*ours, *theirs}):
        if path.startswith(refused):
            continue
        a, b = ours.get(path), theirs.get(path)
        if path and type(a) is not type(b) and not (is_linear(a) and is_linear(b)):  # what is inside is not looked at
            refused += (f"{path}.",)
            yield path, "none" if a is None else type(a).__name__
            continue
        mine, its = _settings(a, but), _settings(b, but)
        for name in sorted(mine.keys() | its.keys()):
            said, other_said = mine.get(name), its.get(name)
            if _word(said) != _word(other_said) and said != other_said:
                yield f"{path}.{name}".lstrip("."), _word(said)
    names = {name for name, _ in model.named_parameters()} ^ {name for name, _ in other.named_parameters()}
    own = {name for name, _ in model.named_parameters()}
    for name in sorted(names):
        if not name.startswith(refused):
            yield name, "there" if name in own else "none"


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    """Modules by path, without containers and what acts in training alone."""
    found = {path: module for path, module in model.named_modules() if not isinstance(module, CONTAINERS)}
    return {path: module for path, module in found.items() if not re.search("Dropout|Depth", type(module).__name__)}


def _settings(module: Any, but: frozenset[str] | set[str]) -> dict[str, Any]:
    """Plain attributes, patterns, scalings and functions."""
    passed = but | (set(Model.__annotations__) if isinstance(module, Model) else set())
    found = {name: value for name, value in vars(module).items() if name[0] != "_" and name not in passed}
    return {name: value for name, value in found.items() if isinstance(value, PLAIN) or is_dataclass(value)}


def _word(value: Any) -> str:
    if value is None:
        return "none"
    value = getattr(value, "func", value)  # of a partial
    return value.__name__ if isinstance(value, FunctionType) else repr(value)
