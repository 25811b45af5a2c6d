"""Packages of one's own: what the user's configs may name beside this project, and what files may where the reader says so.

A package is one's own by one line: an entry point of the group `attention_zoo.packages`, or ZOO_PACKAGES=mypackage in the
environment. Its classes may then stand behind a `_target_` of the command line and of config files, and its folder `conf/` is
searched after this project's. Files of others never profit from that: `trust=["mypackage"]` is said for each call.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, nearest

GROUP = "attention_zoo.packages"
_trusted: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())


def own() -> tuple[str, ...]:
    """The user's own packages, and those that are trusted just now.

    Raises: ZooError for a name that is no package's.
    """
    return tuple(dict.fromkeys([*_installed(), *checked(_told(), "ZOO_PACKAGES"), *_trusted.get()]))


def in_front() -> str:
    """What a command line needs in front of it to know the same packages in another shell; "" where that is nothing."""
    return f"ZOO_PACKAGES={','.join(told)} " if (told := _told()) else ""


def _told() -> list[str]:
    return os.environ.get("ZOO_PACKAGES", "").replace(",", " ").split()


@cache
def _installed() -> tuple[str, ...]:
    return tuple(point.value.partition(":")[0] for point in entry_points(group=GROUP))


def confs() -> list[Path]:
    """The conf/ folders of one's own packages, of those that have one."""
    specs = filter(None, map(_spec, own()))
    found = [Path(place) / "conf" for spec in specs for place in spec.submodule_search_locations or ()]
    return [folder for folder in found if folder.is_dir()]


@contextmanager
def trusting(packages: Iterable[str]) -> Iterator[None]:
    """Within the block the user's config may name these packages too: what `trust=` says for one call."""
    before = _trusted.set((*_trusted.get(), *checked(packages)))
    try:
        yield
    finally:
        _trusted.reset(before)


def checked(packages: Iterable[str], where: str = "trust") -> tuple[str, ...]:
    """The names of packages, each of which is there.

    Raises: ZooError for what is not a list of names, no package, or Python's own library: everything that a file can do wrong
        lies in there.
    """
    names = (packages,) if isinstance(packages, str) else tuple(packages)
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name, re.ASCII):
            raise ZooError(f"{where}={name!r} is not the name of a package; give one, such as {where}=mypackage.")
        if name.partition(".")[0] in sys.stdlib_module_names:
            raise ZooError(
                f"{where}={name} is Python's own library, which runs whatever a file says; name a package of yours."
            )
        if _spec(name.partition(".")[0]) is None:
            raise ZooError(f"{where}={name}: there is no such package; install it, or put its folder on PYTHONPATH.")
    return names


def under(name: str, packages: Iterable[str]) -> bool:
    """Whether a dotted name is one of these packages, or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def located(target: str, path: str, packages: tuple[str, ...]) -> Callable[..., Any]:
    """The class or function of a dotted name that one of these packages defines: an object counts by its own module.

    Raises: ZooError if it is defined elsewhere, or there is none of that name (with the nearest that there is).
    """
    first, *names = target.split(".")
    found: Any = import_module(first)
    for name in names:
        if not hasattr(found, name):
            _import(f"{getattr(found, '__name__', '')}.{name}")
        if not hasattr(found, name):
            where = getattr(found, "__name__", type(found).__name__)
            public = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
            raise ZooError(f"{path}={target!r} does not exist in {where}; {nearest(name, public)}")
        found = getattr(found, name)
    if not callable(found) or not under(getattr(found, "__module__", None) or "", packages):
        raise ZooError(f"{path}={target!r} may not be instantiated; no class or function of {', '.join(packages)}.")
    return found


def _import(module: str) -> None:
    """Import a module if there is one of that name; an error inside it is not hidden."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name and (module == error.name or module.startswith(error.name + "."))):
            raise


def _spec(package: str) -> Any:
    try:
        return find_spec(package)
    except (ImportError, ValueError):
        return None
