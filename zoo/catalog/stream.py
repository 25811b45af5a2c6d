"""The bytes of one file on a web server, in order, over as many requests as it takes."""

import math
import re
import time
from collections.abc import Iterator

from zoo.catalog import http
from zoo.catalog.address import Address
from zoo.catalog.http import Answer, Cut, Unreachable, asked
from zoo.errors import ZooError

_given_up: dict[str, float] = {}  # host -> when
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


def stream(
    address: Address, *, most: int, start: int = 0, size: int | None = None, pinned: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Pieces of a file, each with where it begins.

    After a cut the rest is asked for (Range, of the same version: If-Range). Where the server sends something else, pieces
    begin at 0 again, and what came before counts no more.

    Args:
        most: bytes that are taken at most where `size` is not known.
        start: bytes that are there already.
        size: bytes of the whole file, where they are known.
        pinned: whether its hash is known, so that plain http will do.

    Raises: Missing, Unreachable after all tries, ZooError for a file of another size, or larger than it may be.
    """
    at, tag, tries, furthest = start, "", Tries(address), start
    while True:
        wanted = {"Range": f"bytes={at}-", **({"If-Range": tag} if tag else {})} if at else {}
        try:
            with asked(address, wanted, pinned) as answer:
                at = _begins(answer, at, size)
                _given_up.pop(address.host, None)
                whole, tag = _whole(answer, at, size, most, address), version(answer)
                for piece in answer.pieces:
                    if at + len(piece) > whole:
                        raise ZooError(
                            f"{address} goes on after the {whole:,} bytes that it may have; it is not taken."
                        )
                    yield at, piece
                    at += len(piece)
                if at < whole and not (size is None and _ends_itself(answer)):
                    raise Cut(f"the answer ended after {at:,} of {whole:,} bytes")
                return
        except Cut as cut:
            tries.again(cut, at - furthest)
            furthest = max(at, furthest)
            if cut.over:
                at, tag = 0, ""


def small(address: Address, most: int, pinned: bool = False) -> bytes:
    """A small file, in memory. Raises: as `stream`."""
    content = bytearray()
    for at, piece in stream(address, most=most, pinned=pinned):
        del content[at:]
        content += piece
    return bytes(content)


def told(address: Address) -> tuple[int | None, str]:
    """(bytes, version) of a file as its server tells it, without the file. Raises: Missing, Unreachable."""
    tries = Tries(address)
    while True:
        try:
            with asked(address, {}, False) as answer:
                return answer.length, version(answer)
        except Cut as cut:
            tries.again(cut, 0)


class Tries:
    """What is left of our patience with an address."""

    def __init__(self, address: Address):
        self.address, self.failed = address, 0

    def again(self, cut: Cut, gained: int) -> None:
        """Wait before the next try.

        Raises: Unreachable where as many as there are waits came to nothing, now or with this host a moment ago.
        """
        self.failed = 1 if gained >= http.PATIENCE.gain else self.failed + 1
        given_up = time.monotonic() - _given_up.get(self.address.host, -math.inf) < http.PATIENCE.memory
        if given_up or self.failed > len(http.PATIENCE.waits):
            _given_up[self.address.host] = time.monotonic()
            tries = f"{self.failed} {'try' if self.failed == 1 else 'tries'}"
            raise Unreachable(f"{self.address} cannot be had: {cut} ({tries}).") from cut
        time.sleep(max(http.PATIENCE.waits[self.failed - 1], cut.after))


def version(answer: Answer) -> str:
    """What names the version that is being sent (ETag or date), as If-Range takes it; weak tags do not serve."""
    tag = answer.headers.get("ETag", "")
    tag = tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")
    return tag if tag.isascii() and tag.isprintable() and len(tag) < 200 else ""


def _begins(answer: Answer, at: int, size: int | None) -> int:
    """Where in the file the answer begins. Raises: Cut, to start over, for another part than was asked for."""
    if answer.status == 200:
        return 0
    found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status == 206 and found and at and int(found[1]) == at:
        total = None if found[3] == "*" else int(found[3])
        if size is None or total in (None, size):
            return at
    raise Cut(f"the server answers {answer.status} with another part than was asked for", over=True)


def _whole(answer: Answer, at: int, size: int | None, most: int, address: Address) -> int:
    """Bytes that the file has, or may have at most where the server does not say.

    Raises: ZooError where that is not what it should be, or too much.
    """
    said = None if answer.length is None else at + answer.length
    if size is not None:
        if said is not None and said != size:
            raise http.Changed(
                f"{address} has {said:,} bytes on its server, not the {size:,} that it should have; it is not taken. Try "
                "again later, or tell whoever publishes it."
            )
        return size
    if said is not None and said > most:
        raise ZooError(
            f"{address} has {said:,} bytes, more than the {most:,} that such a file may have; it is not taken."
        )
    if said is None and not _ends_itself(answer):
        raise ZooError(
            f"{address}: its server does not say how long it is, so that a cut would not be seen; it is not taken."
        )
    return most if said is None else said


def _ends_itself(answer: Answer) -> bool:
    """Whether the body has an end of its own, so that a cut within is an error."""
    return answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
