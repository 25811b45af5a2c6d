"""https itself, with a certificate of the test's own."""

import shutil
import ssl
import subprocess

import pytest

from tests.catalog.server import continuing, drip, serve, times
from zoo.catalog import http, local
from zoo.errors import ZooError

LARGE = "/zoo/gat.mine/model.safetensors"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) of localhost, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("makes its certificate by openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    words += " -addext subjectAltName=DNS:localhost"
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", *words.split(), "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def secure(certificate, server, gat):
    """The files of `server` behind https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    yield from serve(server.folder, context)


@pytest.fixture
def known(certificate, monkeypatch):
    """The certificate is one of those that this machine believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


def test_who_does_not_prove_who_it_is_is_not_asked(cache, secure):
    with pytest.raises(ZooError, match=r"/gat.mine/card.json: the server does not prove who it is \(.*self.signed"):
        local(f"{secure.url}/zoo/gat.mine")
    assert not secure.asked


def test_fetched_and_gone_on_with(cache, secure, known, gat):
    secure.wrong[LARGE] = times(1, lambda handler: handler.send_file(stop=100_000))
    found = local(f"{secure.url}/zoo/gat.mine")
    assert (found / "model.safetensors").read_bytes() == (gat / "model.safetensors").read_bytes()
    assert found.is_relative_to(cache / "models" / "https")


def test_never_down_to_http(cache, secure, known, server):
    secure.wrong[LARGE] = lambda handler: handler.refuse(302, Location=server.url + LARGE)  # loopback, and still
    with pytest.raises(
        ZooError, match=r"leads on to http://127.0.0.1:\d+/zoo/gat.mine/model.safetensors, which is not https"
    ):
        local(f"{secure.url}/zoo/gat.mine")
    assert not server.asked


def test_a_trickle_and_silence_are_cuts(cache, secure, known, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.4, waits=(), slowest=1000))
    secure.wrong[LARGE] = drip
    with pytest.raises(ZooError, match=r"cannot be had: only \d+ bytes came"):
        local(f"{secure.url}/zoo/gat.mine")


def test_headers_that_trickle(cache, secure, known, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=0.1, waits=()))
    secure.wrong[LARGE] = continuing
    with pytest.raises(ZooError, match=r"cannot be had: .* \(1 try\)"):
        local(f"{secure.url}/zoo/gat.mine")
