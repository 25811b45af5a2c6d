"""A web server of the test's own, honest or not."""

import functools
import re
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Server:
    """Files of a folder at `url`, with Range, If-Range and ETag.

    wrong: path -> what is done instead, which may do as it likes with the handler; it answers False to have the file sent.
    asked: (path, Range) of all requests.
    """

    folder: Path
    wrong: dict[str, Callable[["Handler"], bool | None]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def paths(self, end: str = "") -> list[str]:
        """What was asked for, of those that end so."""
        return [path for path, _ in self.asked if path.endswith(end)]


class Handler(BaseHTTPRequestHandler):
    """One request. `sent` counts what of the body went out."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *given, served: Server):
        self.served = served
        super().__init__(*given)

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.served.asked.append((path, self.headers.get("Range")))
        if (wrong := self.served.wrong.get(path)) and wrong(self) is not False:
            return
        self.send_file()

    def send_file(self, *, ranges=True, length=True, tag=True, change=None, stop=None):
        """The file. change: what its bytes become; stop: bytes after which the line is cut."""
        file = self.served.folder / self.path.partition("?")[0].lstrip("/")
        if not file.is_file():
            return self.refuse(404)
        body = file.read_bytes() if change is None else change(file.read_bytes())
        mark = f'"{hash(body)}"'
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if ranges else None
        start = int(found[1]) if found and self.headers.get("If-Range", mark) == mark else 0
        if start and start >= len(body):
            return self.refuse(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if length:
            self.send_header("Content-Length", str(len(body) - start))
        if tag:
            self.send_header("ETag", mark)
        if not length or stop is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body[start:] if stop is None else body[start : start + stop])

    def refuse(self, code, **headers):
        self.send_response(code)
        for name, value in {"Content_Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(folder: Path, tls: ssl.SSLContext | None = None):
    """A generator for a fixture: the Server, until the test ends."""
    served = Server(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, served=served)) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.handle_error = lambda *_: None  # of clients that hang up
        served.url = f"http://127.0.0.1:{server.server_port}"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            served.url = f"https://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def times(count: int, wrong: Callable[[Handler], object]) -> Callable[[Handler], bool | None]:
    """So many times wrong, then right."""
    left = [count]

    def answer(handler: Handler) -> bool | None:
        left[0] -= 1
        return False if left[0] < 0 else wrong(handler) and None

    return answer


def stall(seconds: float) -> Callable[[Handler], None]:
    """Says how long the file is, and nothing more."""

    def answer(handler: Handler) -> None:
        handler.send_file(stop=0)
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def drip(handler: Handler) -> None:
    """A byte now and then, never silent for long."""
    handler.send_file(stop=0)
    with suppress(OSError):  # when nobody listens any more
        for _ in range(100):
            handler.wfile.write(b"0")
            time.sleep(0.02)


def continuing(handler: Handler) -> None:
    """An answer that is always about to come."""
    with suppress(OSError):  # when nobody listens any more
        for _ in range(100):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)
