"""The standard library's http client, with bounds that it lacks: where a redirect may lead, how long headers may take, and what
comes that is no part of a body."""

import io
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from zoo.catalog.address import Address, is_loopback, trusted
from zoo.errors import ZooError, one_line


def opener(address: Address, pinned: bool, redirects: int, seconds: float) -> OpenerDirector:
    """What opens an address.

    Args:
        pinned: whether a hash of what comes is known, so that plain http will do.
        redirects: how many may follow each other; each leads to a `trusted` address, never from https to http.
        seconds: until the headers are there, however they trickle.
    """

    class Redirects(HTTPRedirectHandler):
        max_redirections = max_repeats = redirects

        def http_error_302(self, req: Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
            try:
                return super().http_error_302(req, fp, code, msg, headers)
            except ZooError:
                raise
            except ValueError as error:  # of the address, as urllib takes it apart
                fp.close()
                raise ZooError(f"{address} leads on to what is no address ({one_line(error, 200)}).") from None

        http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

        def redirect_request(
            self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> Request | None:
            fp.close()  # or all of its body would be read, and a body need not end
            old, new = req.full_url, urljoin(req.full_url, newurl)
            if not trusted(new, pinned) or (urlsplit(old).scheme == "https" and urlsplit(new).scheme != "https"):
                raise ZooError(
                    f"{address} leads on to {one_line(new.partition('?')[0], 200)}, which is not https; it is not followed."
                )
            return super().redirect_request(req, fp, code, msg, headers, new)

    class Http(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            kind: Any = Prompt  # typeshed's protocol knows no argument of one's own
            return self.do_open(kind, req, seconds=seconds)

    class Https(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            kind: Any = PromptTLS
            return self.do_open(kind, req, seconds=seconds)

    here = is_loopback(urlsplit(address.url).hostname or "")  # a proxy's loopback would be the proxy
    return build_opener(Redirects, Http, Https, *([ProxyHandler({})] if here else []))


class Watched(HTTPResponse):
    """An answer whose `seen` is told of all bytes that come, and may raise. The library reads any number that it does not hand
    out: trailers, and what stands beside the sizes of chunks."""

    seen: Callable[[int], None] = staticmethod(lambda size: None)

    def __init__(self, sock: socket.socket, *given: Any, **named: Any):
        super().__init__(sock, *given, **named)
        plain: Any = vars(self)["fp"]  # which typeshed does not know of
        self.fp = io.BufferedReader(_Line(plain.detach(), self))


class _Line(io.RawIOBase):
    def __init__(self, line: Any, answer: Watched):
        self.line, self.answer = line, answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        size = self.line.readinto(buffer)
        self.answer.seen(size or 0)
        return size

    def close(self) -> None:
        self.line.close()
        super().close()


class Prompt(HTTPConnection):
    """A connection that is cut where the headers take longer. The library bounds each wait, not their number."""

    response_class = Watched

    def __init__(self, *given: Any, seconds: float, **named: Any):
        super().__init__(*given, **named)
        self.seconds = seconds

    def getresponse(self) -> HTTPResponse:
        # The plain socket's: TLS's own shutdown would take away what the other thread reads with.
        cut = threading.Timer(self.seconds, socket.socket.shutdown, (self.sock, socket.SHUT_RDWR))
        cut.daemon = True
        cut.start()
        try:
            return super().getresponse()
        finally:
            cut.cancel()


class PromptTLS(Prompt, HTTPSConnection):
    """The same behind TLS."""
