"""What is there is exported, chosen from and tested: nothing has to be remembered (docs/extend.md)."""

import inspect
from importlib import import_module

import pytest

import zoo.attention as core
from tests.attention import examples
from zoo.attention import KERNELS, Pattern, Position, Score
from zoo.attention.projections import Projection

OURS = [name for name in examples.MODULES if name.startswith("zoo.")]


def defined(*bases):
    """Public classes of the core's own files, below one of the bases."""
    for name in OURS:
        for kind in vars(import_module(name)).values():
            public = inspect.isclass(kind) and kind.__module__ == name and not kind.__name__.startswith("_")
            if public and issubclass(kind, bases):
                yield kind


@pytest.mark.parametrize(
    "kind", sorted(set(defined(Score, Pattern, Position, Projection)), key=lambda kind: kind.__name__)
)
def test_every_part_is_exported(kind):
    assert getattr(core, kind.__name__, None) is kind and kind.__name__ in core.__all__, (
        f"{kind.__module__}.{kind.__name__} is not exported: add it to zoo/attention/__init__.py, and to __all__ there."
    )


def test_every_kernel_is_asked():
    modules = [import_module(name) for name in OURS if name.startswith("zoo.attention.kernels.")]
    kinds = {x for module in modules for x in vars(module).values() if inspect.isclass(x) and hasattr(x, "why_not")}
    missing = {x.__name__ for x in kinds} - {type(kernel).__name__ for kernel in KERNELS}
    assert not missing, f"{missing} stand in no line of KERNELS (zoo/attention/kernels/__init__.py)."


@pytest.mark.parametrize(
    "kinds", [examples.SCORES, examples.POSITIONS, [type(made()) for made in examples.PATTERNS.values()]]
)
def test_parts_of_somebody_else_are_held_to_the_contracts(kinds):
    assert any(kind.__module__ == "tests.attention.outsiders" for kind in kinds)
