"""The words of a report that takes its own settings alone: key=value, by the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from zoo.errors import ZooError, nearest

T = TypeVar("T")


def read_settings(words: Sequence[str], kind: type[T]) -> T:
    """A `kind` of key=value words; a field annotated with int takes whole numbers from 1 on, one of tuple a,b,c.

    Raises: ZooError for a word that is none, a setting that is missing, a number that is none.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            raise ZooError(f"{word!r} is not a setting of this study; {nearest(key, [f'{name}=' for name in known])}")
        annotation = str(known[key].type)
        if annotation.startswith("int"):
            if not (value.isascii() and value.isdigit() and int(value) >= 1):
                raise ZooError(f"{word} is not a whole number from 1 on.")
            given[key] = int(value)
        elif annotation.startswith("tuple"):
            given[key] = tuple(part.strip() for part in value.strip("[]()").split(",") if part.strip())
        else:
            given[key] = value
    if missing := [name for name, each in known.items() if each.default is MISSING and name not in given]:
        raise ZooError(f"{missing[0]}= is missing: this study needs {', '.join(f'{name}=' for name in missing)}.")
    return kind(**given)
