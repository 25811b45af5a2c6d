"""From a web server into the cache: resumed after a cut, verified before anybody sees it, once where several processes ask.

A folder with a card.json is verified by it, file by file; one without is fetched as it is (zoo.catalog.unverified). Above that:
what is pinned is asked for once, and without a network the cache serves.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from zoo.catalog import card, unverified
from zoo.catalog.address import Address, parse
from zoo.catalog.cache import Absent, Place, absent, adding, check_room, offline
from zoo.catalog.download import file
from zoo.catalog.files import CARD, LOADED, sha256
from zoo.catalog.http import Changed, Missing, OtherCard, Unreachable
from zoo.catalog.stream import small
from zoo.checked.texts import BYTES, parse_json
from zoo.errors import ZooError

log = logging.getLogger(__name__)
BY_HAND = "by-hand"  # a version that somebody without a network puts into the cache


def local(url: str) -> Path:
    """The model folder at https://..., or the file at https://.../<name>.safetensors, in the cache.

    A pin is the SHA-256 of the folder's card.json, or of the file itself (config.json beside it is then not pinned).

    Raises: ZooError as `folder` does.
    """
    address = parse(url)
    if not address.name.endswith(".safetensors"):
        return folder(url)
    if address.name in LOADED and not address.pin:
        try:
            return folder(address.parent.url, carded=True) / address.name
        except (Missing, Absent):
            pass  # no card, so what lies beside is not known to belong to it
    place = Place.of(address)
    found = _obtained(
        address, place, address.name, lambda: unverified.fetch(address.parent, place, address.name, address.pin)
    )
    return found / address.name


def folder(url: str, pin: str | None = None, *, carded: bool = False) -> Path:
    """The model folder at an address, in the cache.

    Args:
        url: https://<host>/<path>, with or without #sha256=<of its card.json>; http:// to this machine, or pinned.
        pin: the SHA-256 of its card.json, in place of that in the address.
        carded: whether it must have a card.json.

    Raises: ZooError for what is not there, not what its card says, larger than the disk's room, or not in the cache while
        ZOO_OFFLINE=1 or HF_HUB_OFFLINE=1; Missing where there is no card.json and `carded`.
    """
    address = parse(f"{url}#sha256={pin}" if pin else url)
    place = Place.of(address)
    return _obtained(address, place, CARD, lambda: _newest(address, place, carded))


def content(url: str, pin: str | None = None) -> card.Card | None:
    """The card of the model folder at an address, without its other files; None where it has none. A file's is that beside it.

    Raises: ZooError as `folder` does.
    """
    address = parse(f"{url}#sha256={pin}" if pin else url)
    if address.name.endswith(".safetensors"):
        address = address.parent
    place = Place.of(address)
    if found := _cached(address, place, CARD):
        return card.read(found)
    try:
        return _read(_card(address), address)
    except Missing:
        return None
    except Unreachable as error:
        return card.read(_instead(address, place, error))


def _obtained(address: Address, place: Place, pinned: str, get: Callable[[], Path]) -> Path:
    """What is in the cache where that will do, else what `get` fetches. pinned: the file that the pin is of."""
    if found := _cached(address, place, pinned):
        return found
    try:
        return get()
    except Unreachable as error:
        return _instead(address, place, error)


def _instead(address: Address, place: Place, error: Unreachable) -> Path:
    """What the cache has of an address that cannot be had now. Raises: Absent for nothing."""
    if address.pin or not (found := place.latest()):
        raise absent(str(address), place.folder / (address.pin or BY_HAND), str(error)) from error
    log.warning(f"{error} The version of it in the cache is taken, {str(found)!r}.")
    return found


def _cached(address: Address, place: Place, file: str) -> Path | None:
    """The pinned version, whoever put it there under whatever name; where the network is forbidden the latest.

    Raises: Absent where it is forbidden and there is none; ZooError for one that was changed.
    """
    for found in (place.version(address.pin), place.latest()) if address.pin else ():
        if found and (found / file).is_file():
            if sha256(found / file) == address.pin:
                return found
            if found.name == address.pin:
                raise ZooError(f"{str(found / file)!r} has been changed since it was fetched; delete {str(found)!r}.")
    if (word := offline()) and (address.pin or not place.latest()):
        raise absent(str(address), place.folder / (address.pin or BY_HAND), f"{word} forbids the network.")
    return place.latest() if word else None


def _newest(address: Address, place: Place, carded: bool) -> Path:
    try:
        text = _card(address)
    except Missing as error:
        if carded:
            raise
        if address.pin:
            raise ZooError(
                f"{address} has no {CARD}, which its pin would be of; take the address without it."
            ) from error
        return unverified.fetch(address, place)
    try:
        return _add(address, place, text)
    except Changed:
        if address.pin or (newer := _card(address)) == text:
            raise
        return _add(address, place, newer)  # somebody published in between


def _card(address: Address) -> bytes:
    text = small(address / CARD, BYTES["json"], pinned=address.pin is not None)
    if address.pin and (found := hashlib.sha256(text).hexdigest()) != address.pin:
        raise OtherCard(
            f"{address / CARD} is not the pinned one: its sha256 is {found}, not {address.pin}; correct the pin, or ask "
            "whoever publishes it."
        )
    return text


def _add(address: Address, place: Place, text: bytes) -> Path:
    """The version that the card tells of, fetched if it is not there."""
    name, listed = hashlib.sha256(text).hexdigest(), _read(text, address)["files"]
    if not place.version(name):
        total = sum(facts["bytes"] for facts in listed.values())
        check_room(total, str(address))
        log.info(f"{address}: fetching {total:,} bytes into {str(place.folder / name)!r}")
        with adding(place, name) as beside:
            if beside:
                for each, facts in listed.items():
                    _listed(address, each, beside / each, facts["bytes"], facts["sha256"])
                (beside / CARD).write_bytes(text)
    place.remember(name)
    return place.folder / name


def _listed(address: Address, name: str, target: Path, size: int, digest: str) -> None:
    try:
        file(address / name, target, size, digest, pinned=address.pin is not None)
    except Missing as error:
        raise Changed(f"{address} has no {name}, which its {CARD} lists; ask whoever publishes it.") from error


def _read(text: bytes, address: Address) -> card.Card:
    where = str(address / CARD)
    return card.check(parse_json(text, where), where)
