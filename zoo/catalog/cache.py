"""Where fetched models lie: a place an address, in it a folder a version, each whole or not there.

    $ZOO_CACHE/models/<scheme>/<host>/<path, in one word>/<version>/    a model folder as it was at that address
                                                      latest            which version was the address's when last asked

A version is named by what it holds (the SHA-256 of its card, where it has one) and never changes, so a reader is never
surprised by a writer. Somebody without a network may put a folder there by hand, under any name.
"""

import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from zoo import locks
from zoo.catalog.address import Address
from zoo.catalog.http import Unreachable
from zoo.errors import ZooError
from zoo.files import replacing

log = logging.getLogger(__name__)
LATEST, LOCK, FETCHING = "latest", ".lock", ".fetching"
SPARE = 50_000_000  # bytes that stay free
#: Seconds between two looks at a model that another process fetches, and without progress until it counts as stuck.
LOOK, STUCK = 0.1, 600.0
_threads: dict[Path, threading.Lock] = {}


def root() -> Path:
    """The cache: ZOO_CACHE, or the user's usual one (as paths.cache of conf/train.yaml says)."""
    usual = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME", "."), ".cache"))
    return Path(os.environ.get("ZOO_CACHE") or Path(usual, "attention-zoo")).expanduser().absolute()


def offline() -> str | None:
    """The setting that forbids the network, ZOO_OFFLINE=1 or HF_HUB_OFFLINE=1; None for none."""
    for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{name}={os.environ[name]}"
    return None


def keep(path: Path, content: bytes) -> None:
    """Write a small file of the cache, where that can be: what it tells is a help, not needed."""
    with suppress(OSError):
        if not path.is_file() or path.read_bytes() != content:
            with replacing(path) as beside:
                beside.write_bytes(content)


class Absent(ZooError):
    """Not in the cache, and not to be had."""


def absent(what: str, where: Path, why: str) -> Absent:
    """The error for a model that is not in the cache and cannot be fetched; why: a sentence."""
    return Absent(f"{what} is not in the cache: {why} If you have its folder from elsewhere, put it at {str(where)!r}.")


@dataclass(frozen=True)
class Place:
    """Where the versions of one address lie."""

    folder: Path

    @classmethod
    def of(cls, address: Address) -> "Place":
        """The place of an address. Two addresses never share one."""
        word = quote(address.path.strip("/"), safe="") or "%2F"
        if address.query or len(word) > 150 or set(word) == {"."}:
            word = f"{word[:150]}-{hashlib.sha256(address.url.encode()).hexdigest()[:16]}"
        return cls(root() / "models" / address.scheme / quote(address.host, safe=".") / word)

    def version(self, name: str) -> Path | None:
        """The version of that name, if it is there."""
        return found if (found := self.folder / name).is_dir() else None

    def latest(self) -> Path | None:
        """The version that was the address's last, or one that somebody put here; None for none."""
        pointer = self.folder / LATEST
        name = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else ""
        if name and name == Path(name).name and (found := self.version(name)):
            return found
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        return max((each for each in there if each.is_dir() and each.name[0] != "."), key=_age, default=None)

    def remember(self, name: str) -> None:
        """Make a version the latest."""
        keep(self.folder / LATEST, name.encode())


@contextmanager
def adding(place: Place, name: str) -> Iterator[Path | None]:
    """A folder to fetch a version into, which is the version when the block ends well; None where another process added it.

    One process at a time: others wait, as long as the first goes on. What a cut or the end of the process leaves in the folder
    is there the next time; what is wrong goes.

    Raises: ZooError where the cache cannot be written, or is full.
    """
    beside = place.folder / f"{FETCHING}-{name}"
    try:
        with _held(place.folder / LOCK):
            if place.version(name):
                yield None
                return
            beside.mkdir(parents=True, exist_ok=True)
            try:
                yield beside
                os.replace(beside, place.folder / name)
                for left in place.folder.glob(f"{FETCHING}-*"):  # of versions that nobody will go on with
                    shutil.rmtree(left, ignore_errors=True)
            except (Unreachable, KeyboardInterrupt):
                raise
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
    except OSError as error:
        why = (error.strerror or str(error)) + (f": {error.filename}" if error.filename else "")
        raise ZooError(
            f"{str(place.folder)!r} in the cache cannot be written ({why}): make room there, or set ZOO_CACHE to a "
            "folder that can be written."
        ) from error


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with _threads.setdefault(path, threading.Lock()):
        try:
            file = _wait(path)
        except locks.NoLocks as reason:
            log.warning(
                f"{path.parent} lies on a file system without locks ({reason}): fetch by one process at a time."
            )
            yield
            return
        try:
            yield
        finally:
            locks.give_back(file, path)


def _wait(path: Path) -> BinaryIO:
    before, since = -1, time.monotonic()
    while True:
        try:
            return locks.take(path)
        except locks.Taken as held:
            holder = str(held) or "another process"
        if before < 0:
            log.info(f"{path.parent} is being written by {holder}; waiting for it.")
        if (size := _size(path.parent)) != before:
            before, since = size, time.monotonic()
        elif time.monotonic() - since > STUCK:
            raise ZooError(
                f"{str(path.parent)!r} is being written by {holder}, which has added nothing for {STUCK / 60:.0f} "
                "minutes; end that process and try again."
            )
        time.sleep(LOOK)


def check_room(needed: int, what: str) -> None:
    """Raises: ZooError where the cache has no room for so many bytes."""
    there = next(each for each in (root(), *root().parents) if each.exists())
    if (free := shutil.disk_usage(there).free) < needed + SPARE:
        raise ZooError(
            f"{what} needs {needed:,} bytes in the cache {str(root())!r}, and {free:,} are free there; make room or set "
            "ZOO_CACHE to a folder with more."
        )


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _size(folder: Path) -> int:
    """Bytes of what is being fetched into a place."""
    total = 0
    for path in folder.glob(f"{FETCHING}-*/*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
