"""A zoo behind a static file server, in ZOO_INDEX (issue 11, point 5)."""

import hashlib
import json
import shutil

import pytest

from tests.catalog.server import times
from tests.catalog.shelf import summary
from zoo.catalog import card, find, list_pretrained, local
from zoo.catalog.remote import RemoteZoo
from zoo.errors import ZooError

INDEX = "/zoo/index.json"


def publish(zoo):
    """index.json of the models in a folder."""
    models = {
        folder.name: {
            "card": hashlib.sha256((folder / "card.json").read_bytes()).hexdigest(),
            "summary": summary(task="graph_classification"),
            "files": card.read(folder)["files"],
        }
        for folder in zoo.iterdir()
        if folder.is_dir()
    }
    (zoo / "index.json").write_text(json.dumps({"format": 1, "models": models}))


@pytest.fixture
def remote(cache, server, gat, monkeypatch):
    """The address of a zoo that holds gat.mine, in ZOO_INDEX."""
    publish(gat.parent)
    monkeypatch.setenv("ZOO_INDEX", f"{server.url}/zoo")
    return f"{server.url}/zoo"


def test_a_name_of_a_remote_zoo(remote, server, gat):
    assert "gat.mine" in list_pretrained("gat.m*", task="graph_classification")
    found = local("gat.mine")
    assert (found / "model.safetensors").read_bytes() == (gat / "model.safetensors").read_bytes()
    server.asked.clear()
    assert local("gat.mine") == found and server.paths() == [INDEX]  # its card is pinned by the index
    assert find("gat.mine").zoo.card("gat.mine") == card.read(gat)


def test_a_folder_without_an_index_is_no_zoo(cache, server):
    with pytest.raises(ZooError, match=r"/zoo is no zoo: it has no index.json; correct the address"):
        RemoteZoo(f"{server.url}/zoo").index()


def test_an_unknown_name_is_told_the_nearest(remote):
    with pytest.raises(ZooError, match=r"has no 'gat.mien'; did you mean 'gat.mine'\?"):
        RemoteZoo(remote).folder("gat.mien")


@pytest.mark.parametrize("name", ["../evil.x", "/etc/passwd", "a/b.c", "..", "GAT.mine", "gat", "gat.mi ne"])
def test_an_index_names_no_paths(remote, server, gat, name):
    content = json.loads((gat.parent / "index.json").read_text())
    content["models"][name] = content["models"]["gat.mine"]
    (gat.parent / "index.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=r"index.json names .*, which is no name of a model"):
        local("gat.mine")
    assert server.paths() == [INDEX]


def test_an_index_that_changes_between_requests(remote, server, gat):
    def replace(handler):  # after the index was read, before the card is
        (gat / "model.safetensors").write_bytes(b"another")
        card.write(gat, {})
        publish(gat.parent)
        return False

    server.wrong["/zoo/gat.mine/card.json"] = times(1, replace)
    assert (local("gat.mine") / "model.safetensors").read_bytes() == b"another"


def test_an_index_of_another_card_is_a_sentence(remote, gat, visible):
    (gat / "card.json").write_text((gat / "card.json").read_text() + " ")
    with pytest.raises(ZooError, match=r"/zoo has another gat.mine than its index.json tells of: it is being"):
        local("gat.mine")
    assert not [path for path in visible() if "gat.mine" in path]


def test_a_pinned_index(remote, gat):
    pin = hashlib.sha256((gat.parent / "index.json").read_bytes()).hexdigest()
    assert list(RemoteZoo(f"{remote}#sha256={pin}").index()) == ["gat.mine"]
    with pytest.raises(ZooError, match=r"index.json is not the pinned one"):
        RemoteZoo(f"{remote}#sha256={'0' * 64}").index()


def test_without_a_network_the_last_index_serves(remote, server, gat, monkeypatch, caplog):
    found = local("gat.mine")
    server.wrong[INDEX] = lambda handler: handler.refuse(500)
    assert local("gat.mine") == found and "Its index in the cache is taken" in caplog.text
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    server.asked.clear()
    assert local("gat.mine") == found and "gat.mine" in list_pretrained() and not server.asked
    shutil.rmtree(found)
    with pytest.raises(
        ZooError, match=rf"{remote}/gat.mine is not in the cache: ZOO_OFFLINE=1 forbids .* put it at '(.*)'"
    ):
        local("gat.mine")


def test_never_seen_and_no_network(remote, cache, monkeypatch):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(
        ZooError, match=rf"The index of {remote} is not in the cache: ZOO_OFFLINE=1 forbids the network"
    ):
        RemoteZoo(remote).index()
