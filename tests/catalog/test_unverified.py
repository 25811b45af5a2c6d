"""Folders without card.json, and single files: fetched by name, called unverified (issue 11, Trust)."""

import hashlib
import json

import pytest

from zoo.catalog import local
from zoo.errors import ZooError


@pytest.fixture
def plain(server):
    """A folder without a card at /plain."""
    folder = server.folder / "plain"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1}')
    (folder / "model.safetensors").write_bytes(b"tensors" * 1000)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_without_a_card(cache, server, plain):
    (plain / "tokenizer.json").write_text("{}")
    (plain / "pytorch_model.bin").write_bytes(b"pickle")
    found = local(f"{server.url}/plain")
    assert names(found) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (found / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    server.asked.clear()
    assert local(f"{server.url}/plain") == found
    (plain / "model.safetensors").write_bytes(b"another" * 1000)  # as long, and of another ETag
    assert local(f"{server.url}/plain") != found


def test_in_parts(cache, server, plain):
    (plain / "model.safetensors").unlink()
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    (plain / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict(zip("ab", parts, strict=True))}))
    (plain / parts[0]).write_bytes(b"a")
    with pytest.raises(
        ZooError, match=r"has no weights that are read here: there is no model-00002-of-00002.safetensors"
    ):
        local(f"{server.url}/plain")
    (plain / parts[1]).write_bytes(b"b")
    assert set(parts) < set(names(local(f"{server.url}/plain")))
    (plain / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../config.json"}}))
    with pytest.raises(ZooError, match=r"names '../../config.json', which is no part of a model's weights"):
        local(f"{server.url}/plain")


def test_pickle_alone_is_refused(cache, server, plain):
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(ZooError, match=r"plain has no weights that are read here: there is no .*model.safetensors"):
        local(f"{server.url}/plain")


def test_no_model_at_all(cache, server, visible):
    with pytest.raises(ZooError, match=r"/nothing is no model's folder: there is neither card.json nor config.json"):
        local(f"{server.url}/nothing")
    assert visible() == []


def test_a_single_file_with_its_config(cache, server, plain):
    (plain / "model.safetensors").rename(plain / "best.safetensors")
    found = local(f"{server.url}/plain/best.safetensors")
    assert found.name == "best.safetensors" and names(found.parent) == ["best.safetensors", "config.json"]
    pin = hashlib.sha256(found.read_bytes()).hexdigest()
    pinned = f"{server.url}/plain/best.safetensors#sha256={pin}"
    assert local(pinned).read_bytes() == found.read_bytes()
    server.asked.clear()
    assert local(pinned) and not server.asked
    with pytest.raises(
        ZooError, match=r"best.safetensors is not the file that is asked for \(sha256 .*, not 000000000000"
    ):
        local(f"{server.url}/plain/best.safetensors#sha256={'0' * 64}")
    with pytest.raises(ZooError, match=r"has no weights that are read here: there is no worst.safetensors"):
        local(f"{server.url}/plain/worst.safetensors")


def test_a_file_of_a_folder_with_a_card_is_verified(cache, server, gat):
    url = f"{server.url}/zoo/gat.mine/model.safetensors"
    assert names(local(url).parent) == ["card.json", "config.json", "model.safetensors"]
    (gat / "model.safetensors").write_bytes(b"0" * 300_000)
    (gat / "card.json").write_text((gat / "card.json").read_text() + " ")
    with pytest.raises(ZooError, match="is not the file that is asked for"):
        local(url)


def test_a_pin_needs_a_card(cache, server, plain):
    with pytest.raises(
        ZooError, match=r"plain has no card.json, which its pin would be of; take the address without it"
    ):
        local(f"{server.url}/plain#sha256={'0' * 64}")


@pytest.mark.parametrize("path", ["plain", "plain/model.safetensors"])
def test_offline(cache, server, plain, monkeypatch, path):
    found = local(f"{server.url}/{path}")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert local(f"{server.url}/{path}") == found
