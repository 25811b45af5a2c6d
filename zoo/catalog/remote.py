"""A zoo behind a web server: its index.json, and its models by what that says of them."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from zoo.catalog import fetch
from zoo.catalog.address import Address, parse
from zoo.catalog.cache import Place, absent, keep, offline
from zoo.catalog.card import Card
from zoo.catalog.http import Changed, Missing, OtherCard, Unreachable
from zoo.catalog.index import INDEX, Entry, entries
from zoo.catalog.stream import small
from zoo.checked.texts import BYTES, parse_json
from zoo.errors import ZooError, nearest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteZoo:
    """A zoo at https://<host>/<path>, or http:// on this machine; #sha256=<of its index.json> at the end pins it."""

    where: str
    _known: dict[str, Entry] = field(default_factory=dict, compare=False, repr=False)

    def index(self) -> dict[str, Entry]:
        """As `Zoo.index`: asked for each time; what came last serves where there is no network."""
        address = parse(self.where)
        found, where = _index(address), str(address / INDEX)
        self._known.clear()
        self._known.update(entries(parse_json(found, where), where, self))
        return dict(self._known)

    def folder(self, name: str) -> Path:
        """As `Zoo.folder`, by way of the cache: the card that the index tells of, with all its files."""
        try:
            return fetch.folder(*self._pinned(name))
        except Changed as error:  # somebody published since the index was read?
            before = self._pinned(name)
            self.index()
            if self._pinned(name) != before:
                return fetch.folder(*self._pinned(name))
            if not isinstance(error, OtherCard):
                raise
            raise ZooError(
                f"{parse(self.where)} has another {name} than its {INDEX} tells of: it is being published just now, or was by "
                "half; try again, or tell whoever publishes it."
            ) from error

    def card(self, name: str) -> Card | None:
        """The card of a model, without its other files."""
        return fetch.content(*self._pinned(name))

    def _pinned(self, name: str) -> tuple[str, str]:
        known = self._known or self.index()
        if name not in known:
            raise ZooError(f"{parse(self.where)} has no {name!r}; {nearest(name, known)}")
        return (parse(self.where) / name).url, known[name].card


def _index(address: Address) -> bytes:
    kept = Place.of(address / INDEX).folder / INDEX
    if word := offline():
        if kept.is_file():
            return kept.read_bytes()
        raise absent(f"The index of {address}", kept, f"{word} forbids the network.")
    try:
        text = small(address / INDEX, BYTES["json"], pinned=address.pin is not None)
    except Missing as error:
        raise ZooError(f"{address} is no zoo: it has no {INDEX}; correct the address.") from error
    except Unreachable as error:
        if not kept.is_file():
            raise absent(f"The index of {address}", kept, str(error)) from error
        log.warning(f"{error} Its index in the cache is taken.")
        return kept.read_bytes()
    if address.pin and (found := hashlib.sha256(text).hexdigest()) != address.pin:
        raise ZooError(f"{address / INDEX} is not the pinned one: its sha256 is {found}, not {address.pin}.")
    keep(kept, text)
    return text
