"""index.json of a zoo: for each name its card in short, and the hashes of its files. Hostile input: no word of it is a path.

    {"format": 1, "models": {name: {"card": sha256 of card.json, "summary": {...}, "files": {file: {"bytes", "sha256"}}}}}

The model lies at <zoo>/<name>/.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo.catalog.card import Card
from zoo.catalog.files import HASH, KNOWN, NAME, Listed, check_listed
from zoo.checked.formats import Steps, newest, upgraded
from zoo.checked.texts import read_json
from zoo.errors import ZooError, one_line

INDEX = "index.json"
#: A function for each older format, which makes the next of it.
STEPS: Steps = {}
FORMAT = newest(STEPS)
#: What an index says of a model in short; `zoo.list_pretrained` chooses by it.
SUMMARY: dict[str, tuple[type, ...]] = {
    "task": (str,), "modality": (str,), "licence": (str,), "parameters": (int,), "metric": (str,), "value": (int, float),
    "data": (str,), "bytes": (int,),
}  # fmt: skip


class Zoo(Protocol):
    """Where models lie."""

    @property
    def where(self) -> str:
        """The folder or address."""

    def index(self) -> "dict[str, Entry]":
        """Its models by name. Raises: ZooError for an index that is broken, hostile, or not to be had."""

    def folder(self, name: str) -> Path:
        """The folder of a model of its index, here and whole. Raises: ZooError where that cannot be."""

    def card(self, name: str) -> Card | None:
        """The card of a model of its index, without its other files."""


@dataclass(frozen=True)
class Entry:
    """A model of a zoo: its summary and files as the index says, and the SHA-256 of its card.json."""

    name: str
    zoo: Zoo = field(repr=False)
    card: str
    summary: dict[str, Any]
    files: Listed


def read(path: Path, zoo: Zoo) -> dict[str, Entry]:
    """The entries of an index.json, which belong to `zoo`. Raises: ZooError that names the file and what is wrong with it."""
    return entries(read_json(path), repr(str(path)), zoo)


def entries(content: Any, where: str, zoo: Zoo) -> dict[str, Entry]:
    """As `read`, of the content of an index that came from `where`."""
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise ZooError(f"{where} is not the index of a zoo: it holds no mapping with a format.")
    content = upgraded(content, STEPS, where)
    if not isinstance(models := content.get("models"), dict):
        raise ZooError(f"{where} is not the index of a zoo: its models are not a mapping.")
    return {name: _entry(name, given, zoo, where) for name, given in models.items()}


def _entry(name: str, given: Any, zoo: Zoo, where: str) -> Entry:
    if not NAME.fullmatch(name):
        raise ZooError(f"{where} names {one_line(name, 80)!r}, which is no name of a model (<model>.<tag>).")
    inside = f"{where}, {name}"
    if not isinstance(given, dict) or not isinstance(given.get("summary"), dict):
        raise ZooError(f"{inside}: it is not a mapping with a summary.")
    if not isinstance(digest := given.get("card"), str) or not HASH.fullmatch(digest):
        raise ZooError(f"{inside}: card={one_line(digest, 80)!r} is not the sha256 of a file.")
    for key, kinds in SUMMARY.items():
        value = given["summary"].get(key)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise ZooError(f"{inside}: summary.{key} is a {type(value).__name__}, not a {kinds[0].__name__}.")
    summary = {key: given["summary"].get(key) for key in SUMMARY}
    return Entry(name, zoo, digest, summary, check_listed(given.get("files"), inside, KNOWN))
