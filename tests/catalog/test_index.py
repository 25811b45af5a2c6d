"""A8: index.json of somebody else. Whatever it holds, one sentence; nothing outside the zoo is read."""

import copy
import json
import os
import shutil

import pytest

import zoo
from tests.catalog.shelf import shelf
from zoo import catalog
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return shelf(tmp_path_factory.mktemp("index") / "zoo")


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A copy to write into, first in ZOO_INDEX, beside a file that is none of its business."""
    shutil.copytree(made, tmp_path / "zoo")
    (tmp_path / "secret").write_text("told to nobody")
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


def listed(name, **facts):
    return lambda one: one["files"].update({name: {"bytes": 1, "sha256": "a" * 64, **facts}})


def said(**told):
    return lambda one: one["summary"].update(told)


#: What is done to the entry of vit.mine, and what is answered.
ENTRIES = {
    "a file above": (listed("../secret"), r"lists the file '\.\./secret'; it may list config.json"),
    "an absolute file": (listed("/etc/passwd"), "lists the file '/etc/passwd'"),
    "a file of pickle": (listed("model.pkl"), r"lists the file 'model\.pkl'"),
    "a file in a folder": (listed("a/config.json"), "lists the file 'a/config.json'"),
    "a size below nothing": (listed("config.json", bytes=-1), "config.json has no bytes and sha256"),
    "a size that is true": (listed("config.json", bytes=True), "config.json has no bytes and sha256"),
    "a hash that is a path": (listed("config.json", sha256="../" * 21 + "a"), "config.json has no bytes and sha256"),
    "files as a list": (lambda one: one.update(files=["config.json"]), "not a mapping of names"),
    "a card that is no hash": (lambda one: one.update(card="/etc/passwd"), "card='/etc/passwd' is not the sha256 of a file"),
    "no summary": (lambda one: one.pop("summary"), "not a mapping with a summary"),
    "a summary that is a list": (lambda one: one.update(summary=[]), "not a mapping with a summary"),
    "parameters as a text": (said(parameters="many"), r"summary\.parameters is a str, not a int"),
    "a task as a list": (said(task=["x"]), r"summary\.task is a list, not a str"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), ENTRIES.values(), ids=ENTRIES)
def test_entries_name_no_path(place, change, sentence):
    content = json.loads((place / "index.json").read_text())
    change(content["models"]["vit.mine"])
    (place / "index.json").write_text(json.dumps(content))
    for door in (catalog.local, catalog.info, catalog.find, catalog.list_pretrained, zoo.load):
        with pytest.raises(ZooError, match=sentence) as error:
            door("vit.mine")
        assert "index.json" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600


NAMES = (
    "../vit.mine",
    "/somewhere/vit.mine",
    "vit/mine.x",
    "vit",
    "Vit.mine",
    "vit.mine.x",
    "vit.mine\n",
    "..",
    "",
    "a." + "b" * 200,
)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_paths(place, name):
    content = json.loads((place / "index.json").read_text())
    content["models"][name] = copy.deepcopy(content["models"]["vit.mine"])
    (place / "index.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="which is no name of a model"):
        catalog.list_pretrained()


WHOLE = {
    "a list": ("[]", "is not the index of a zoo"),
    "a list of models": ('{"format": 1, "models": []}', "its models are not a mapping"),
    "no format": ('{"models": {}}', "holds no mapping with a format"),
    "newer": ('{"format": 2, "models": {}}', "has format 2, this version reads up to 1: update attention-zoo"),
    "not JSON": ("{", "cannot be read"),
    "NaN": ('{"format": 1, "models": {"a.b": NaN}}', "cannot be read"),
    "deep": ('{"format": 1, "models": ' + "[" * 900 + "]" * 900 + "}", "nested deeper"),
    "huge": ('{"format": 1, "models": "' + "x" * 5_000_000 + '"}', "larger than 4 MB"),
    "a great many": ('{"format": 1, "models": [' + "0," * 300_000 + "0]}", "more than 200,000 values"),
    "not UTF-8": (b"\xff\xfe{}", "cannot be read"),
    "a number of a million digits": ('{"format": ' + "9" * 1_000_000 + "}", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), WHOLE.values(), ids=WHOLE)
def test_an_index_that_is_none(place, content, sentence):
    (place / "index.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ZooError, match=sentence) as error:
        catalog.local("vit.mine")
    assert "index.json" in str(error.value) and len(str(error.value)) < 600


def test_an_index_that_is_a_link_or_a_pipe(place):
    (place / "index.json").unlink()
    os.mkfifo(place / "index.json")
    with pytest.raises(ZooError, match=r"no index\.json"):
        catalog.list_pretrained()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_links_out_of_a_zoo_are_not_followed(place, what):
    folder = place / "vit.mine"
    if what == "folder":
        shutil.move(folder, place.parent / "elsewhere")
        folder.symlink_to(place.parent / "elsewhere")
    else:
        shutil.move(folder / "config.json", place.parent / "elsewhere")
        (folder / "config.json").symlink_to(place.parent / "elsewhere")
    for door in (catalog.local, catalog.info, zoo.load):
        with pytest.raises(ZooError, match="is a link to outside its zoo, which is not followed"):
            door("vit.mine")


def test_links_within_a_zoo_are(place):
    shutil.move(place / "vit.mine", place / "here")
    (place / "vit.mine").symlink_to("here")
    assert zoo.load("vit.mine").config


@pytest.mark.parametrize(("name", "at"), [("config.json", b"10,"), ("model.safetensors", b"}")])
def test_a_flipped_bit_is_found_and_named(place, name, at):
    """One that leaves a file that could be read: another number of classes, another weight."""
    path = place / "vit.mine" / name
    content = bytearray(path.read_bytes())
    content[content.rindex(at) + (1 if name == "config.json" else 9)] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZooError, match=f"{name}' has other content than card.json says"):
        zoo.load("vit.mine")


def test_a_card_that_was_changed_since_is_found(place):
    """Its figure, or its hashes together with the weights: the index has the card's own."""
    path = place / "vit.mine" / "card.json"
    path.write_text(path.read_text().replace("0.9875", "0.9975"))
    for door in (catalog.local, catalog.info, zoo.load):
        with pytest.raises(ZooError, match=r"card\.json' is not the one that index\.json tells of"):
            door("vit.mine")


def test_a_model_whose_folder_is_gone(place):
    shutil.rmtree(place / "vit.mine")
    with pytest.raises(ZooError, match=r"card\.json"):
        catalog.local("vit.mine")


def test_other_keys_of_a_later_writer_are_no_harm(place):
    content = json.loads((place / "index.json").read_text())
    content["note"] = content["models"]["vit.mine"]["note"] = content["models"]["vit.mine"]["summary"]["note"] = "x"
    (place / "index.json").write_text(json.dumps(content))
    assert "vit.mine" in catalog.list_pretrained() and zoo.load("vit.mine")
