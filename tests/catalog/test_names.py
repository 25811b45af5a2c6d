"""Names, addresses and paths: what `zoo.catalog.local` makes of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import catalog, pretrained
from zoo.catalog import card, files
from zoo.errors import ZooError


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A zoo with one model, first in ZOO_INDEX; the working folder lies beside it."""
    folder = tmp_path / "zoo" / "gat.mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    card.write(folder, {"name": "gat.mine", "task": "graph_classification", "parameters": 7})
    summary = {"task": "graph_classification", "parameters": 7}
    one = {"card": files.sha256(folder / "card.json"), "summary": summary, "files": files.listed(folder, files.KNOWN)}
    (tmp_path / "zoo" / "index.json").write_text(json.dumps({"format": 1, "models": {"gat.mine": one}}))
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "zoo"


def test_a_name_wins_over_a_folder_of_that_name(shelf, tmp_path):
    (tmp_path / "gat.mine").mkdir()
    assert catalog.local("gat.mine") == shelf / "gat.mine"
    assert catalog.local("./gat.mine").resolve() == tmp_path / "gat.mine"


def test_what_is_no_name_is_a_path(shelf, tmp_path):
    (tmp_path / "gat.other").mkdir()
    for path in ("gat.other", "runs/gat.mine", "model.safetensors", "."):
        assert str(catalog.local(path)) == path


def test_an_unknown_name_is_told_the_nearest(shelf):
    with pytest.raises(ZooError, match=r"'gat.mien' is no model of a zoo, and no path; did you mean 'gat.mine'\?"):
        catalog.local("gat.mien")


def test_list_and_info(shelf):
    assert "gat.mine" in catalog.list_pretrained("gat*", max_parameters=7)
    assert catalog.list_pretrained("gat.mine", max_parameters=6) == []
    assert catalog.list_pretrained("gat.mine", task="graph_classification") == ["gat.mine"]
    assert catalog.info("gat.mine")["parameters"] == 7 and catalog.info("gat.mine")["licence"] is None


def test_the_catalog_imports_no_torch(shelf):
    code = "import sys; from zoo import catalog; catalog.info('gat.mine'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


LONG = "a" * 5000


@pytest.mark.parametrize("source", [LONG, f"gat.{LONG}", Path(LONG), "x/" * 2500, f"{LONG}.safetensors"])
@pytest.mark.parametrize("door", [catalog.local, catalog.info, catalog.card_of, pretrained.load])
def test_a_path_that_can_be_none_is_a_sentence(shelf, door, source):
    with pytest.raises(ZooError, match=r"has 5,0\d\d letters, more than a path can have") as error:
        door(source)
    assert len(str(error.value)) < 300


def test_a_zoo_at_a_path_that_can_be_none(shelf, monkeypatch):
    monkeypatch.setenv("ZOO_INDEX", LONG)
    with pytest.raises(ZooError, match="letters, more than a path can have"):
        catalog.list_pretrained()


@pytest.mark.parametrize("source", [3, None, b"x", ["gat.mine"]])
@pytest.mark.parametrize("door", [catalog.local, catalog.info, pretrained.load])
def test_what_is_no_text_is_a_sentence(shelf, door, source):
    with pytest.raises(ZooError, match=rf"is a {type(source).__name__}, neither a name nor a path"):
        door(source)
