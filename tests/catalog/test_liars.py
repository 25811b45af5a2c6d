"""A8: servers that lie, addresses that should not be followed. A sentence each, and nothing a reader could take for a model."""

import gzip
import io
import json
import time
from contextlib import suppress
from functools import partial

import pytest

from tests.catalog.server import serve, times
from zoo.catalog import address, card, http, local
from zoo.catalog.opener import opener
from zoo.errors import ZooError

CARD, LARGE = "/zoo/gat.mine/card.json", "/zoo/gat.mine/model.safetensors"


@pytest.fixture
def another(tmp_path):
    """A second server of the same files."""
    yield from serve(tmp_path / "shelf")


def endless(handler):
    """A body without a length and without an end."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    except OSError:  # nobody listens any more
        handler.close_connection = True


def packed(handler):
    """Zeros, a thousand times smaller on the line."""
    body = gzip.compress(bytes(300_000))
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def flipped(body):
    return bytes([body[0] ^ 1]) + body[1:]


def of_another_part(handler):
    """Answers each Range by the first bytes."""
    if "Range" not in handler.headers:
        return handler.send_file(stop=100_000)
    handler.send_response(206)
    handler.send_header("Content-Range", "bytes 0-9/300000")
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(bytes(10))


def in_a_circle(handler):
    handler.refuse(302, Location=handler.path)


def to_a_body_without_end(handler):
    """A redirect whose own body never ends, as a client that reads it would learn."""
    handler.send_response(302)
    handler.send_header("Location", handler.path + "?again")
    handler.send_header("Content-Length", str(1 << 40))
    handler.end_headers()
    handler.close_connection = True


def no_http(handler):
    handler.wfile.write(b"hello\r\n\r\n")
    handler.close_connection = True


def text(content):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def changed(change):
    return lambda handler: handler.send_file(change=change)


def to(place):
    return lambda handler: handler.refuse(302, Location=place)


LIES = {
    "another byte": (LARGE, changed(flipped), "is not the file that is asked for .sha256 .*nothing of it is kept"),
    "longer": (
        LARGE,
        changed(lambda body: body + b"0"),
        "has 300,001 bytes on its server, not the 300,000 that it should",
    ),
    "shorter": (
        LARGE,
        changed(lambda body: body[1:]),
        "has 299,999 bytes on its server, not the 300,000 that it should",
    ),
    "endless": (LARGE, endless, "goes on after the 300,000 bytes that it may have"),
    "endless card": (CARD, endless, "goes on after the 4,000,000 bytes"),
    "a card of a terabyte": (
        CARD,
        lambda h: h.refuse(200, Content_Length="9" * 12),
        "more than the 4,000,000 that such",
    ),
    "packed": (LARGE, packed, "is sent packed .gzip., which was not asked for"),
    "packed card": (CARD, packed, "is sent packed"),
    "no length": (CARD, lambda h: h.send_file(length=False), "does not say how long it is, so that a cut would not be"),
    "another part": (LARGE, of_another_part, "cannot be had: "),
    "a file that is gone": (LARGE, lambda h: h.refuse(404), "has no model.safetensors, which its card.json lists"),
    "a circle": (LARGE, in_a_circle, "leads on without end, or nowhere"),
    "a redirect to nowhere": (LARGE, lambda h: h.refuse(302), "leads on without end, or nowhere"),
    "a redirect without end": (LARGE, to_a_body_without_end, "leads on without end, or nowhere"),
    "a redirect to plain http": (LARGE, to("http://example.org/x"), "leads on to http://example.org/x, which is not"),
    "a redirect to a file": (LARGE, to("file:///etc/passwd"), "leads on without end, or nowhere"),
    "a redirect to no address": (CARD, to("http://[::1/x"), "leads on to what is no address .Invalid IPv6 URL"),
    "a redirect to no host": (CARD, to("https://" + "a" * 300 + ".org/x"), "leads on to what is no address"),
    "not public": (CARD, lambda h: h.refuse(403), "is not public .the server answers 403.; download it"),
    "a teapot": (CARD, lambda h: h.refuse(418), "the server answers 418"),
    "no http": (CARD, no_http, "cannot be had: "),
    "a list": (CARD, text(b"[]"), "card.json is not a card of a model"),
    "half a card": (CARD, text(b'{"format": 1, "fi'), "card.json' cannot be read"),
    "deep": (CARD, text(b"[" * 100_000), "cannot be read .nested too deep"),
    "a later format": (CARD, text(b'{"format": 9, "files": {}}'), "has format 9, this version reads up to 1: update"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_sentence_and_nothing_stays(cache, server, gat, visible, lie):
    path, wrong, message = LIES[lie]
    server.wrong[path] = wrong
    with pytest.raises(ZooError, match=message) as error:
        local(f"{server.url}/zoo/gat.mine")
    assert visible() == [] and "\n" not in str(error.value) and len(str(error.value)) < 700
    server.wrong.clear()  # and nothing of it spoils what comes after
    assert (local(f"{server.url}/zoo/gat.mine") / "model.safetensors").read_bytes() == (
        gat / "model.safetensors"
    ).read_bytes()


PATHS = ("../../evil", "/etc/passwd", "a/b", "..", "model.pkl", "card.json", "README.md", "", "con.fig")


@pytest.mark.parametrize("name", PATHS)
def test_a_card_names_no_paths(cache, server, gat, visible, name):
    content = card.read(gat)
    content["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (gat / "card.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="lists the file"):
        local(f"{server.url}/zoo/gat.mine")
    assert server.paths() == [CARD] and visible() == []


def test_a_model_that_is_replaced_while_it_is_fetched_is_fetched_anew(cache, server, gat):
    def replace(handler):
        (gat / "model.safetensors").write_bytes(b"another")
        card.write(gat, {})
        return False

    server.wrong[LARGE] = times(1, replace)
    found = local(f"{server.url}/zoo/gat.mine")
    assert (found / "model.safetensors").read_bytes() == b"another"


def test_redirects_are_followed_where_they_are_safe(cache, server, gat, another):
    server.wrong[LARGE] = to(another.url + LARGE)
    local(f"{server.url}/zoo/gat.mine")
    assert another.paths() == [LARGE]


@pytest.mark.parametrize(
    "given, message",
    [
        ("http://example.org/gat.mine", "is plain http, where anybody between could change what is sent: take https://"),
        ("http://localhost.example.org/gat.mine", "is plain http"),
        ("http://127.0.0.1.example.org/x", "is plain http"),
        ("http://example.org/x/model.safetensors", "is plain http"),
        ("https://../x", "is no address"),
        ("https://user:secret@example.org/x", "may hold no user and password .of example.org."),
        ("https://example.org/x#sha256=12", "a pin is #sha256= and 64 hexadecimal digits"),
        ("https://example.org/x#main", "ends in #main"),
        ("https://", "is no address"),
        ("https://exa mple.org/\n", "is no address"),
        ("https://example.org:http/x", "is no address"),
        ("https://[::1/x", "is no address"),
        ("https://" + "a" * 300 + ".org/x", "is no address"),
    ],
)  # fmt: skip
def test_addresses_that_are_refused(cache, given, message):
    with pytest.raises(ZooError, match=message) as error:
        local(given)
    assert "secret" not in str(error.value)


def test_plain_http_will_do_where_a_pin_says_what_comes():
    pinned = address.parse(f"http://example.org/x#sha256={'a' * 64}")
    assert pinned.pin == "a" * 64 and pinned.url == "http://example.org/x"
    assert address.trusted("http://[::1]:80/x", False) and address.trusted("http://127.9.9.9/x", False)
    assert not address.trusted("ftp://127.0.0.1/x", True) and not address.trusted("file:///x", True)


def test_never_from_https_to_http(cache):
    from email.message import Message
    from urllib.request import HTTPRedirectHandler, Request

    client = opener(address.parse(f"https://example.org/x#sha256={'a' * 64}"), True, 5, 1.0)
    handler = next(each for each in client.handlers if isinstance(each, HTTPRedirectHandler))
    follow = partial(handler.redirect_request, Request("https://example.org/x"), io.BytesIO(), 302, "Found", Message())
    with pytest.raises(ZooError, match=r"leads on to http://example.org/x, which is not https; it is not followed"):
        follow("http://example.org/x")


def test_what_an_address_hides_is_not_told(cache, server):
    with pytest.raises(ZooError) as error:
        local(f"{server.url}/zoo/gat.mine?token=secret")
    assert "secret" not in str(error.value)


def chunked(body, after, wait=0.0):
    """A right body in one chunk or, where `after` stands beside the size of each, in chunks of a byte; then no end."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with suppress(OSError):  # when nobody listens any more
            if after[:1] != b";":
                handler.wfile.write(b"%x\r\n%s\r\n0\r\n" % (len(body), body))
            for _ in range(5_000):
                handler.wfile.write(b"1" + after + b"\r\nx\r\n" if after[:1] == b";" else after)
                time.sleep(wait)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize(
    "after, wait, message",
    [
        (b"X-A: " + b"b" * 60_000 + b"\r\n", 0, "bytes came for [0-9,]+ of the file .1 try"),
        (b"X-A: b\r\n", 0.01, "nothing of the file came in"),
        (b"b", 0.01, "nothing of the file came in"),  # one line that does not end
        (b";" + b"x" * 60_000, 0, "bytes came for [0-9,]+ of the file"),
    ],
    ids=["trailers", "trailers that trickle", "a trailer that trickles", "beside tiny chunks"],
)
def test_what_is_no_part_of_the_file_has_an_end(cache, server, gat, visible, monkeypatch, after, wait, message):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.1, waits=(), slowest=1))
    server.wrong[CARD] = chunked((gat / "card.json").read_bytes(), after, wait)
    with pytest.raises(ZooError, match=message):
        local(f"{server.url}/zoo/gat.mine")
    assert visible() == []


def test_small_chunks_and_a_few_trailers_are_taken(cache, server, gat):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        body = (gat / "card.json").read_bytes()
        handler.wfile.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nX-A: b\r\n\r\n")

    server.wrong[CARD] = answer
    found = local(f"{server.url}/zoo/gat.mine")
    assert (found / "card.json").read_bytes() == (gat / "card.json").read_bytes()
