"""One request over http, by the standard library: redirects, refusals and silence are bounded."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EHOSTUNREACH, ENETUNREACH
from http.client import HTTPException
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

from zoo.catalog.address import Address, plain, trusted
from zoo.catalog.opener import Watched, opener
from zoo.errors import ZooError, one_line

log = logging.getLogger(__name__)
PIECE = 1 << 16
#: Bytes on the line for one of the file, at most: a chunk of one byte comes as six.
OVERHEAD = 16
#: Answers after which the same request may be answered better.
AGAIN = (408, 425, 429)


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    timeout: seconds of silence; twice that until the headers are there, and for what is no part of the file.
    waits: seconds before each further try; when they are used up without `gain` bytes it ends.
    longest: seconds that a server's Retry-After may ask for.
    slowest: bytes a second, over the time of `timeout`.
    redirects: how many a request may take.
    memory: seconds for which a host that was given up is tried once.
    """

    timeout: float = 20.0
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    longest: float = 30.0
    gain: int = 1 << 20
    slowest: float = 500.0
    redirects: int = 5
    memory: float = 60.0


PATIENCE = Patience()


class Missing(ZooError):
    """The server has nothing under that address."""


class Unreachable(ZooError):
    """No answer that could be used, after all tries: without a network, what is in the cache may serve."""


class Changed(ZooError):
    """What comes is not what the card or the index says: the server's fault, or it was replaced between two requests."""


class OtherCard(Changed):
    """A card that is not the one that is pinned, or that an index tells of."""


class Cut(Exception):
    """An answer that ended, stalled or failed so that another try may do better.

    after: seconds that the server asks for. over: whether what came before is of no use.
    """

    def __init__(self, why: str, after: float = 0.0, over: bool = False):
        super().__init__(why)
        self.after, self.over = after, over


@dataclass(frozen=True)
class Answer:
    """What a server sends: its status, headers, and the body piece by piece."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]

    @property
    def length(self) -> int | None:
        """Bytes of the body; None where the server does not say."""
        said = self.headers.get("Content-Length", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None


@contextmanager
def asked(address: Address, headers: Mapping[str, str], pinned: bool) -> Iterator[Answer]:
    """The answer to one GET.

    Args:
        pinned: whether a hash of what comes is known, so that plain http will do.

    Raises: Cut, Missing, and ZooError for what no other try would change.
    """
    if not trusted(address.url, pinned):
        raise ZooError(plain(address))
    patience = PATIENCE
    told = {"User-Agent": "attention-zoo", "Accept-Encoding": "identity", **headers}
    try:
        ask = opener(address, pinned, patience.redirects, 2 * patience.timeout)
        with ask.open(Request(address.url, headers=told), timeout=patience.timeout) as found:
            if (packed := found.headers.get("Content-Encoding", "identity")).lower() not in ("identity", ""):
                raise ZooError(
                    f"{address} is sent packed ({one_line(packed, 40)}), which was not asked for: have the server send files "
                    "as they are."
                )
            yield Answer(found.status, found.headers, _pieces(found, patience))
    except HTTPError as error:
        error.close()
        raise _refused(address, error, patience) from None
    except URLError as error:
        raise _failed(address, error.reason) from error
    except (OSError, HTTPException) as error:
        raise _failed(address, error) from error


def _pieces(found: Watched, patience: Patience) -> Iterator[bytes]:
    since, size, line = time.monotonic(), 0, 0

    def seen(more: int) -> None:
        nonlocal line
        line += more
        if line > size * OVERHEAD + 2 * PIECE:
            raise Cut(f"{line:,} bytes came for {size:,} of the file")
        if (seconds := time.monotonic() - began) > 2 * patience.timeout:
            raise Cut(f"nothing of the file came in {seconds:.0f} s")

    found.seen = seen
    while True:
        began = time.monotonic()
        if not (piece := found.read1(PIECE)):
            return
        yield piece
        size += len(piece)
        if (seconds := time.monotonic() - since) > patience.timeout:
            if size < patience.slowest * seconds:
                raise Cut(f"only {size:,} bytes came in {seconds:.0f} s")
            since, size, line = time.monotonic(), 0, 0


def _refused(address: Address, error: HTTPError, patience: Patience) -> Exception:
    if error.code in (404, 410):
        return Missing(f"There is no {address} (the server answers {error.code}); correct the address.")
    if error.code in AGAIN or error.code >= 500:
        said = error.headers.get("Retry-After", "")
        return Cut(f"the server answers {error.code}", min(float(said) if said.isdecimal() else 0.0, patience.longest))
    if error.code == 416:
        return Cut("the server has less of it than was asked for", over=True)
    if error.code in (401, 403):
        return ZooError(f"{address} is not public (the server answers {error.code}); download it and give its folder.")
    if 300 <= error.code < 400:
        return ZooError(f"{address} leads on without end, or nowhere (the server answers {error.code}).")
    return ZooError(f"{address}: the server answers {error.code} ({one_line(error.reason, 80)}).")


def _failed(address: Address, reason: Any) -> Exception:
    import ssl

    if isinstance(reason, ssl.SSLCertVerificationError):
        return ZooError(f"{address}: the server does not prove who it is ({one_line(reason, 200)}).")
    if isinstance(reason, gaierror) or getattr(reason, "errno", None) in (ENETUNREACH, EHOSTUNREACH):
        return Unreachable(
            f"{address} cannot be had: {one_line(reason.strerror, 200)}."
        )  # no network: waiting helps nobody
    return Cut(one_line(getattr(reason, "strerror", None) or reason or type(reason).__name__, 200))
