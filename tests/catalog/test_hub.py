"""hf://: the hub's own client, against a stand-in of the hub behind HF_ENDPOINT (issue 11, point 7)."""

import shutil

import pytest

from tests.catalog.hub_server import serve
from zoo.catalog import card, hub, local
from zoo.errors import ZooError


@pytest.fixture
def far(tmp_path, monkeypatch, cache):
    """A hub, empty."""
    yield from serve(monkeypatch, tmp_path / "hub")


FILES = {"config.json": b'{"format": 1}', "model.safetensors": b"tensors", "tokenizer.json": b"{}"}
OTHERS = {
    "README.md": b"# Hello",
    ".gitattributes": b"",
    "training_args.bin": b"pickle",
    "sub/config.json": b"{}",
    "run.py": b"",
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_repository(far):
    commit = far.commit("me/gat", {**FILES, **OTHERS})
    found = local("hf://me/gat")
    assert names(found) == sorted([*FILES, "README.md"]) and found.name == commit
    assert all((found / name).read_bytes() == content for name, content in FILES.items())
    assert not [each for each in far.asked if each.startswith("GET") and each.endswith((".py", ".bin"))]


def test_by_revision(far):
    first = far.commit("me/gat", FILES)
    second = far.commit("me/gat", {**FILES, "model.safetensors": b"better"})
    assert (local(f"hf://me/gat@{first}") / "model.safetensors").read_bytes() == b"tensors"
    assert local("hf://me/gat").name == local("hf://me/gat@main").name == second
    far.asked.clear()
    assert local(f"hf://me/gat@{first}") and not far.asked  # a commit is for ever the same


def test_offline(far, monkeypatch):
    far.commit("me/gat", FILES)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(
        ZooError, match=r"hf://me/gat is not in the hub's cache '.*': ZOO_OFFLINE=1 forbids the network. Set"
    ):
        local("hf://me/gat")
    monkeypatch.delenv("ZOO_OFFLINE")
    found = local("hf://me/gat")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    far.asked.clear()
    assert local("hf://me/gat") == found and not far.asked
    (found / "model.safetensors").unlink()  # as a cut leaves it: small files come first
    with pytest.raises(ZooError, match="is not in the hub's cache"):
        local("hf://me/gat")


def test_a_hub_that_is_down(far, caplog):
    far.commit("me/gat", FILES)
    found = local("hf://me/gat")
    far.down = True
    assert local("hf://me/gat") == found and "What is in the cache is taken" in caplog.text
    with pytest.raises(ZooError, match=r"hf://me/other is not in the hub's cache .*: The hub cannot"):
        local("hf://me/other")


def test_no_hub_at_all(far, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ZooError, match=r"hf://me/gat is not in the hub's cache .*: The hub cannot be reached"):
        local("hf://me/gat")


@pytest.mark.parametrize(
    "given, message",
    [
        ("hf://me/nothing", "There is no hf://me/nothing, or it is private: correct the name, or log in"),
        ("hf://me/gat@old", "hf://me/gat@old: there is no such revision; give a branch, tag or commit"),
        ("hf://me", "hf://me is no name of a repository"),
        ("hf://a/b/c", "hf://a/b/c is no name of a repository: give hf://owner/name"),
        ("hf://../x", "is no name of a repository"),
        ("hf://me/gat@../../../etc/passwd", "ends in no name of a branch, tag or commit"),
    ],
)
@pytest.mark.parametrize("offline", ["0", "1"])
def test_names_that_are_none(far, given, message, offline, monkeypatch):
    far.commit("me/gat", FILES)
    monkeypatch.setenv("ZOO_OFFLINE", offline)
    if offline == "1" and "no name" not in message:
        message = "is not in the hub's cache"
    with pytest.raises(ZooError, match=message):
        local(given)


PICKLES = {"pytorch_model.bin": b"pickle", "optimizer.pt": b"pickle"}


def test_pickle_alone_is_refused(far):
    """A7: nothing is unpickled."""
    far.commit("me/timm", {"config.json": b'{"architecture": "vit_tiny"}', **PICKLES})
    with pytest.raises(
        ZooError, match=r"hf://me/timm has its weights as pickle alone \(optimizer.pt, pytorch_model.bin\)"
    ):
        local("hf://me/timm")
    assert not [each for each in far.asked if each.endswith((".bin", ".pt"))]


def test_of_transformers_the_reader_takes_tensors_of_a_pickle(far):
    far.commit("me/gpt", {"config.json": b'{"model_type": "gpt2"}', **PICKLES})
    assert names(local("hf://me/gpt")) == ["config.json", "pytorch_model.bin"]


def test_other_repositories(far):
    far.commit("me/empty", {"config.json": b"{}"})
    far.commit("me/data", {"train.parquet": b""})
    with pytest.raises(ZooError, match=r"hf://me/empty has no weights: it holds config.json"):
        local("hf://me/empty")
    with pytest.raises(
        ZooError, match=r"hf://me/data is no model's repository: it has no config.json, but train.parquet"
    ):
        local("hf://me/data")


def test_in_parts_and_with_another_tokenizer(far):
    parts = {f"model-0000{i}-of-00002.safetensors": b"x" for i in (1, 2)}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": b"{}",
        **parts,
        "vocab.json": b"{}",
        "merges.txt": b"",
    }
    far.commit("me/llama", files)
    assert names(local("hf://me/llama")) == sorted(files)


def test_a_card_alone(far):
    far.commit("me/gat", {**FILES, "card.json": b'{"format": 1, "name": "gat.mine", "files": {}}'})
    far.commit("me/plain", FILES)
    assert hub.content("me/gat")["name"] == "gat.mine" and hub.content("me/plain") is None
    assert not [each for each in far.asked if each.endswith(".safetensors")]


@pytest.fixture
def mine(tmp_path):
    """A model folder with a card; its content is of no model."""
    folder = tmp_path / "gat.mine"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("mine alone")
    card.write(folder, {"name": "gat.mine"})
    return folder


def test_pushed_and_loaded_back(far, mine, monkeypatch):
    with pytest.raises(
        ZooError, match=r"hf://me/gat: the hub wants a token that may do that; log in \(hf auth login\)"
    ):
        hub.push(mine, "me/gat")
    monkeypatch.setenv("HF_TOKEN", far.token)
    told = hub.push(mine, "me/gat")
    assert set(far.files("me/gat")) == {*FILES, ".gitattributes", "card.json", "README.md"}
    found = local(told)
    card.verify(found, card.read(found))
    assert all((found / name).read_bytes() == content for name, content in FILES.items())


def test_what_is_there_is_replaced_when_told(far, mine, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", far.token)
    first = far.commit("me/gat", {**FILES, "adapter_model.safetensors": b"old", "figure.png": b"theirs"})
    with pytest.raises(ZooError, match=r"hf://me/gat holds a model already; give another name, or --replace"):
        hub.push(mine, "me/gat")
    hub.push(mine, "me/gat", replace=True)
    assert "adapter_model.safetensors" not in far.files("me/gat") and far.files("me/gat")["figure.png"] == b"theirs"
    assert (local(f"hf://me/gat@{first}") / "adapter_model.safetensors").read_bytes() == b"old"  # its history stays


def test_two_at_once_lose_nothing(far, mine, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", far.token)
    far.before["write"] = lambda: far.commit("me/gat", {"theirs.txt": b""})
    with pytest.raises(ZooError, match=r"hf://me/gat was changed by somebody else just now; nothing was pushed"):
        hub.push(mine, "me/gat")
    assert far.files("me/gat") == {"theirs.txt": b""}


def test_a_folder_that_is_not_right_is_not_pushed(far, mine, monkeypatch):
    (mine / "model.safetensors").write_bytes(b"another")
    with pytest.raises(ZooError, match=r"has other content than card.json says"):
        hub.push(mine, "me/gat")
    (mine / "card.json").unlink()
    with pytest.raises(ZooError, match=r"has no card.json; write the folder by"):
        hub.push(mine, "me/gat")
    card.write(mine, {})
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(ZooError, match="cannot be pushed to: ZOO_OFFLINE=1 forbids the network"):
        hub.push(mine, "me/gat")
    assert not far.asked


def test_a_cache_that_cannot_be_written(far, tmp_path):
    far.commit("me/gat", FILES)
    shutil.rmtree(tmp_path / "hub", ignore_errors=True)
    (tmp_path / "hub").write_text("a file")
    with pytest.raises(
        ZooError, match=r"hf://me/gat cannot be written into the hub's cache \(.*\); make room or set HF_HOME"
    ):
        local("hf://me/gat")
