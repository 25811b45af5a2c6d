"""A model folder on a web server without card.json: fetched by the names that such folders use, and not verified.

Its version is named by the content of the small files and by what the server tells of the large ones (ETag or date, and bytes).
"""

import hashlib
import json
import logging
from pathlib import Path

from zoo.catalog.address import Address
from zoo.catalog.cache import Place, adding, check_room
from zoo.catalog.download import file
from zoo.catalog.files import CARD
from zoo.catalog.http import Missing
from zoo.catalog.kinds import CONFIG, INDEX, LARGE, SMALL, SMALL_BYTES, shards
from zoo.catalog.stream import small, told
from zoo.errors import ZooError

log = logging.getLogger(__name__)


def fetch(address: Address, place: Place, only: str | None = None, digest: str | None = None) -> Path:
    """The folder at an address, or of its weights `only` one file, of that SHA-256; in the cache.

    Raises: ZooError for a folder without config.json or weights, and all that a server can do wrong.
    """
    texts = {name: text for name in SMALL if (text := _text(address / name)) is not None}
    if CONFIG not in texts and only is None:
        raise ZooError(
            f"{address} is no model's folder: there is neither {CARD} nor {CONFIG}; correct the address (a repository of the "
            "Hugging Face hub is hf://owner/name)."
        )
    more = shards(texts[INDEX], str(address / INDEX)) if INDEX in texts else ()
    large = {name: facts for name in ((only,) if only else (*LARGE, *more)) if (facts := _told(address / name))}
    if not large or (only is None and set(more) - large.keys()):
        wanted = only or ", ".join(sorted(set(more) - large.keys()) or LARGE)
        raise ZooError(f"{address} has no weights that are read here: there is no {wanted}.")
    known = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    name = digest or hashlib.sha256(json.dumps([known, large], sort_keys=True).encode()).hexdigest()
    if not place.version(name):
        total = sum(length or 0 for length, _ in large.values()) + sum(map(len, texts.values()))
        check_room(total, str(address))
        log.info(
            f"{address}: fetching {total:,} bytes into {str(place.folder / name)!r}; it has no {CARD} to verify it by."
        )
        with adding(place, name) as beside:
            if beside:
                for each, (length, _) in large.items():
                    file(address / each, beside / each, length, digest, pinned=digest is not None)
                for each, text in texts.items():
                    (beside / each).write_bytes(text)
    place.remember(name)
    return place.folder / name


def _text(address: Address) -> bytes | None:
    try:
        return small(address, SMALL_BYTES)
    except Missing:
        return None


def _told(address: Address) -> tuple[int | None, str] | None:
    try:
        return told(address)
    except Missing:
        return None
