"""One file from a web server to the disk, gone on with where an earlier try was cut, and compared with its hash."""

import hashlib
import os
from pathlib import Path
from typing import Any

from zoo.catalog.address import Address
from zoo.catalog.files import sha256
from zoo.catalog.http import Changed
from zoo.catalog.progress import bar
from zoo.catalog.stream import stream

MOST = 1 << 40  # bytes of a file whose size nobody tells


def file(
    address: Address, target: Path, size: int | None = None, digest: str | None = None, *, pinned: bool = False
) -> Path:
    """A file into `target`, whole or not at all; beside it, what there is of it.

    Args:
        size, digest: its bytes and SHA-256, where they are known.
        pinned: whether the hash is known for certain, so that plain http will do.

    Raises: Missing, Unreachable, Changed, and ZooError for a file that is refused; OSError where it cannot be written.
    """
    if target.is_file() and digest and sha256(target) == digest:
        return target
    part = target.with_name(f".{target.name}.part")
    found, held = _begun(part, size)
    resumed = held > 0
    with open(part, "ab") as out, bar(target.name, size, held) as tell:
        left = stream(address, start=held, size=size, most=MOST, pinned=pinned) if held != size or not held else ()
        for at, piece in left:
            if at == 0 and held:
                out.truncate(0)
                found, held = hashlib.sha256(), 0
            out.write(piece)
            found.update(piece)
            held += len(piece)
            tell(held)
    if digest and found.hexdigest() != digest:
        part.unlink()
        if resumed:  # what was there is of another version, or was written by a machine that went down
            return file(address, target, size, digest, pinned=pinned)
        raise Changed(
            f"{address} is not the file that is asked for (sha256 {found.hexdigest()[:12]}..., not {digest[:12]}...); nothing "
            "of it is kept. Try again later, or tell whoever publishes it."
        )
    os.replace(part, target)
    return target


def _begun(part: Path, size: int | None) -> tuple[Any, int]:
    """(the hash of what is there of a file, its bytes); a part that is longer than the whole goes."""
    found = hashlib.sha256()
    if part.is_file() and size is not None and part.stat().st_size > size:
        part.unlink()
    if not part.is_file():
        return found, 0
    with open(part, "rb") as content:
        return hashlib.file_digest(content, lambda: found), part.stat().st_size
