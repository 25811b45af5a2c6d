"""What a user may call a trained model: a name, an address, or a path; `local` is what every door calls first."""

import errno
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import zoo
from zoo.catalog import card
from zoo.catalog.files import CARD, NAME
from zoo.catalog.folder import FolderZoo
from zoo.catalog.index import INDEX, Entry, Zoo
from zoo.errors import ZooError, nearest, one_line, too_long

ADDRESSES = ("https://", "http://", "hf://", "timm://")
#: Ends of files that look like the tag of a name: model.safetensors is a path, there or not.
FILES = (
    ".safetensors", ".ckpt", ".bin", ".json", ".pt", ".pth", ".csv", ".txt", ".png", ".jpg", ".jpeg", ".yaml", ".zip",
)  # fmt: skip


def is_address(source: str | Path) -> bool:
    """Whether it is of the form https://, http://, hf:// or timm://, and so no path."""
    return isinstance(source, str) and source.startswith(ADDRESSES)


def is_name(source: str | Path) -> bool:
    """Whether it is of the form of a name of a zoo, <model>.<tag>, in one or not."""
    return isinstance(source, str) and NAME.fullmatch(source) is not None and not source.endswith(FILES)


def knows(source: str | Path) -> bool:
    """Whether it is the name of a model that a zoo has. Raises: ZooError for a zoo that cannot be had."""
    return isinstance(source, str) and is_name(source) and _look(source) is not None


def local(source: str | Path) -> Path:
    """Where a model, or a file of it, lies on this machine; what is elsewhere is fetched into the cache, and verified.

    Args:
        source: a name of a zoo (`gat.cora`; it wins over a folder of that name, ./gat.cora is the folder), https://... or
            hf://owner/name[@revision]. A pathlib.Path, and a text that is none of these, is a path and comes back untouched.

    Raises: ZooError for what looks like a name, is in no zoo and is no path (the nearest names are told), and for what cannot
        be fetched. timm:// is not for here: its weights are converted, not fetched as files.
    """
    if not isinstance(source, str):
        return _path(source)
    if is_address(source):
        return _fetched(source)
    if not is_name(source):
        return _path(source)
    found = _look(source)
    if found is not None:
        return found.zoo.folder(found.name)
    if Path(source).exists():
        return Path(source)
    raise ZooError(f"{source!r} is no model of a zoo, and no path; {nearest(source, list_pretrained())}")


def _path(source: str | os.PathLike[str]) -> Path:
    """Raises: ZooError for what can be no path."""
    if not isinstance(source, str | os.PathLike):
        raise ZooError(f"{one_line(repr(source), 80)} is a {type(source).__name__}, neither a name nor a path.")
    try:
        os.lstat(path := Path(source))
    except (OSError, ValueError) as error:  # whether it is there is for others to ask
        if getattr(error, "errno", None) == errno.ENAMETOOLONG:
            raise ZooError(too_long(source)) from None
    return path


def _fetched(address: str) -> Path:
    if address.startswith("timm://"):
        raise ZooError(f"{address} is converted, not fetched as files; zoo.load({address!r}) does it.")
    if address.startswith("hf://"):
        from zoo.catalog import hub

        return hub.folder(*_revision(address))
    from zoo.catalog import fetch

    return fetch.local(address)


def _revision(address: str) -> tuple[str, str | None]:
    """hf://owner/name[@revision] -> owner/name, revision."""
    owner, _, revision = address.removeprefix("hf://").partition("@")
    return owner, revision or None


def find(name: str) -> Entry:
    """The entry of a name, of the first zoo that has it. Raises: ZooError for an unknown name (the nearest are told)."""
    if (found := _look(name)) is None:
        raise ZooError(f"{name!r} is no model of a zoo; {nearest(name, list_pretrained())}")
    return found


def _look(name: str) -> Entry | None:
    return next((index[name] for index in _indexes() if name in index), None)


def _indexes() -> Iterator[dict[str, Entry]]:
    """Of each zoo, asked for only as far as somebody looks. One that cannot be had hides none of the next: a name of a zoo of
    one's own must not become the package's without a word."""
    *told, own = zoos()
    for each in told:
        try:
            yield each.index()
        except ZooError as error:
            raise type(error)(f"{error} (ZOO_INDEX names it; unset that to do without.)") from error.__cause__
    yield own.index()


def zoos() -> tuple[Zoo, ...]:
    """The zoos of ZOO_INDEX (folders or addresses, comma separated), then the package's own."""
    told = [place.strip() for place in os.environ.get("ZOO_INDEX", "").split(",")]
    own = Path(zoo.__file__).resolve().parent / "shipped"
    return (*(_zoo(place) for place in told if place), FolderZoo(str(own)))


def _zoo(place: str) -> Zoo:
    if is_address(place):
        from zoo.catalog.remote import RemoteZoo

        return RemoteZoo(place)
    if not _path(Path(place).expanduser() / INDEX).is_file():
        raise ZooError(f"ZOO_INDEX names {place!r}, and there is no {INDEX} in such a folder; correct or unset it.")
    return FolderZoo(str(Path(place).expanduser()))


def entries(
    pattern: str = "*",
    *,
    task: str | None = None,
    modality: str | None = None,
    licence: str | None = None,
    max_parameters: int | None = None,
) -> list[Entry]:
    """The entries of `list_pretrained`, in order of name."""
    found: dict[str, Entry] = {}
    for index in _indexes():
        found = {**index, **found}
    wanted = {"task": task, "modality": modality, "licence": licence}

    def fits(entry: Entry) -> bool:
        told = entry.summary
        few = max_parameters is None or (told["parameters"] is not None and told["parameters"] <= max_parameters)
        return few and all(value is None or told[key] == value for key, value in wanted.items())

    return [entry for name, entry in sorted(found.items()) if fnmatchcase(name, pattern) and fits(entry)]


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
        task: only models of that task.
        modality: only those that read that: image, graph, relational_graph, text, series, ...
        licence: only those whose weights have that licence.
        max_parameters: only models of at most so many.
    """
    only = {"task": task, "modality": modality, "licence": licence}
    return [entry.name for entry in entries(pattern, max_parameters=max_parameters, **only)]


def info(source: str | Path) -> card.Card:
    """The card of a model, a plain dict (`zoo.catalog.card`); no weights are read or fetched.

    Raises: ZooError for a model that has none.
    """
    if (found := card_of(source)) is None:
        raise ZooError(f"{str(source)!r} has no {CARD}: nothing is told about it, and it is not verified.")
    return found


def card_of(source: str | Path) -> card.Card | None:
    """As `info`; None for a model without a card."""
    if isinstance(source, str) and is_name(source) and (entry := _look(source)):
        return entry.zoo.card(source)
    if not isinstance(source, str) or not is_address(source):
        path = local(source)
        if not path.exists():
            raise ZooError(f"There is no {str(source)!r}, and no model of that name; python -m zoo list pretrained.")
        folder = path if path.is_dir() else path.parent
        return card.read(folder / "model" if (folder / "model").is_dir() else folder)
    if source.startswith("timm://"):
        return None
    if source.startswith("hf://"):
        from zoo.catalog import hub

        return hub.content(*_revision(source))
    from zoo.catalog import fetch

    return fetch.content(source)
