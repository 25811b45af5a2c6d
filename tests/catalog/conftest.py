"""Fixtures: a cache of the test's own, a server, and a small folder on it."""

import random

import pytest

from tests.catalog.server import serve
from zoo.catalog import card, http


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """ZOO_CACHE, empty; no waiting between tries."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE", "ZOO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http, "PATIENCE", http.Patience(timeout=3, waits=(0, 0, 0), longest=0.05, gain=100_000))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A web server of the folder `shelf`."""
    (tmp_path / "shelf").mkdir()
    yield from serve(tmp_path / "shelf")


@pytest.fixture
def gat(server):
    """A folder with a card on the server, at /zoo/gat.mine; its content is of no model."""
    folder = server.folder / "zoo" / "gat.mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"format": 1}')
    (folder / "model.safetensors").write_bytes(random.Random(0).randbytes(300_000))
    card.write(folder, {})
    return folder


@pytest.fixture
def visible(cache):
    """What a reader of the cache could take for a model: files in folders that are not hidden."""

    def look():
        paths = (path.relative_to(cache) for path in cache.rglob("*") if path.is_file() and path.name != "latest")
        return sorted(str(path) for path in paths if not any(part.startswith(".") for part in path.parts))

    return look
