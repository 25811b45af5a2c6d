"""Names that parts of the core had before: they mean the same, for code and classes that use them."""

from typing import Any


class former:
    """An attribute that is another one: `as_additive = former("as_additive")`, whatever a subclass makes of that."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return getattr(owner if instance is None else instance, self.name)


def adopt(kind: type) -> None:
    """Let what a class defines under a former name count as the present one. Called in `__init_subclass__`."""
    names = {old: x.name for base in kind.__mro__[1:] for old, x in vars(base).items() if isinstance(x, former)}
    for old, new in names.items():
        if old in vars(kind) and new not in vars(kind):
            setattr(kind, new, vars(kind)[old])
