"""What a user may call a trained model: a name, an address, or a path; `local` is what every door calls first."""

import os
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import zoo
from zoo.catalog import card
from zoo.catalog.index import NAME, Entry, FolderZoo, Zoo
from zoo.errors import ZooError, nearest

ADDRESSES = ("https://", "http://", "hf://", "timm://")
#: Ends of files that look like the tag of a name: model.safetensors is a path, there or not.
FILES = (
    ".safetensors",
    ".ckpt",
    ".bin",
    ".json",
    ".pt",
    ".pth",
    ".csv",
    ".txt",
    ".png",
    ".jpg",
    ".jpeg",
    ".yaml",
    ".zip",
)


def is_address(source: str | Path) -> bool:
    """Whether it is of the form https://, http://, hf:// or timm://, and so no path."""
    return isinstance(source, str) and source.startswith(ADDRESSES)


def is_name(source: str | Path) -> bool:
    """Whether it is of the form of a name of a zoo, <model>.<tag>, in one or not."""
    return isinstance(source, str) and NAME.fullmatch(source) is not None and not source.endswith(FILES)


def local(source: str | Path) -> Path:
    """Where a model, or a file of it, lies on this machine; what is elsewhere is fetched into the cache, and verified.

    Args:
        source: a name of a zoo (`gat.cora`; it wins over a folder of that name, ./gat.cora is the folder), https://... or
            hf://owner/name[@revision]. A pathlib.Path, and a text that is none of these, is a path and comes back untouched.

    Raises: ZooError for what looks like a name, is in no zoo and is no path (the nearest names are told), and for what cannot
        be fetched. timm:// is not for here: its weights are converted, not fetched as files.
    """
    if isinstance(source, Path):
        return source
    if is_address(source):
        return _fetched(source)
    if not is_name(source):
        return Path(source)
    found = _look(source)
    if found is not None:
        return found.zoo.folder(found.name)
    if Path(source).exists():
        return Path(source)
    raise ZooError(f"{source!r} is no model of a zoo, and no path; {nearest(source, list_pretrained())}")


def _fetched(address: str) -> Path:
    if address.startswith("timm://"):
        raise ZooError(f"{address} is converted, not fetched as files; zoo.load({address!r}) does it.")
    if address.startswith("hf://"):
        owner, _, revision = address.removeprefix("hf://").partition("@")
        return import_module("zoo.catalog.hub").folder(owner, revision or None)
    from zoo.catalog import fetch

    return fetch.local(address)


def find(name: str) -> Entry:
    """The entry of a name, of the first zoo that has it. Raises: ZooError for an unknown name (the nearest are told)."""
    if (found := _look(name)) is None:
        raise ZooError(f"{name!r} is no model of a zoo; {nearest(name, list_pretrained())}")
    return found


def _look(name: str) -> Entry | None:
    return next((index[name] for index in (each.index() for each in zoos()) if name in index), None)


def zoos() -> tuple[Zoo, ...]:
    """The zoos of ZOO_INDEX (folders or addresses, comma separated), then the package's own."""
    told = [place.strip() for place in os.environ.get("ZOO_INDEX", "").split(",")]
    own = Path(zoo.__file__).resolve().parent / "shipped"
    return (*(_zoo(place) for place in told if place), FolderZoo(str(own)))


def _zoo(place: str) -> Zoo:
    if is_address(place):
        from zoo.catalog.remote import RemoteZoo

        return RemoteZoo(place)
    if not Path(place).expanduser().is_dir():
        raise ZooError(f"ZOO_INDEX names {place!r}, and there is no such folder; correct or unset it.")
    return FolderZoo(str(Path(place).expanduser()))


def list_pretrained(
    pattern: str = "*",
    *,
    task: str | None = None,
    modality: str | None = None,
    licence: str | None = None,
    max_parameters: int | None = None,
) -> list[str]:
    """Names of trained models that `zoo.load` takes: `list_pretrained("gat*", max_parameters=100_000)`.

    Args:
        pattern: shell pattern of names.
        task, modality, licence: only models of that one.
        max_parameters: only models of at most so many.
    """
    found: dict[str, Entry] = {}
    for each in zoos():
        found = {**each.index(), **found}
    wanted = {"task": task, "modality": modality, "licence": licence}

    def fits(entry: Entry) -> bool:
        told = entry.summary
        few = max_parameters is None or (told["parameters"] is not None and told["parameters"] <= max_parameters)
        return few and all(value is None or told[key] == value for key, value in wanted.items())

    return sorted(name for name, entry in found.items() if fnmatchcase(name, pattern) and fits(entry))


def info(source: str | Path) -> dict[str, Any]:
    """The card of a model, a plain dict; no weights are read.

    Raises: ZooError for a model that has none.
    """
    where = local(source)
    folder = where / "model" if (where / "model").is_dir() else where
    if (found := card.read(folder)) is None:
        raise ZooError(f"{str(source)!r} has no card.json: nothing is told about it, and it is not verified.")
    return found
