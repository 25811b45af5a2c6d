"""Folders of every format, and of classes that moved since, load as on their first day; those of later formats are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

import zoo
from zoo import declared
from zoo.checked.formats import upgraded
from zoo.config import locate
from zoo.errors import ZooError
from zoo.pretrained import folder, initialise, migrations
from zoo.tasks import Translation

OLD = Path(__file__).resolve().parents[1] / "old"
FORMATS = {path.parent.parent.name: json.loads(path.read_text()) for path in sorted(OLD.glob("*/model/config.json"))}


def test_folders_of_each_older_format_are_kept():
    assert {content["format"] for content in FORMATS.values()} == set(range(1, migrations.FORMAT))


@pytest.mark.parametrize("name", FORMATS)
def test_each_step_says_the_format_before_in_its_terms(name):
    content = FORMATS[name]
    now = migrations.current(content, "it")
    assert now["format"] == migrations.FORMAT and {**now, **content, "format": migrations.FORMAT} == now
    assert "adapter" in now and "preprocess" in now
    assert content["format"] < migrations.FORMAT  # what was given stays as it is


@pytest.mark.parametrize("name", ["gat", "gpt", "lora", "patchtst", "vit"])
def test_an_old_folder_saved_again_is_of_the_newest_format(name, tmp_path):
    was = zoo.load(OLD / name)
    zoo.save(was, tmp_path / name)
    assert json.loads((tmp_path / name / "config.json").read_text())["format"] == migrations.FORMAT
    again = zoo.load(tmp_path / name)
    assert (again.config, again.preprocess, again.classes) == (was.config, was.preprocess, was.classes)
    for key, tensor in was.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor)


def test_steps_are_taken_in_order_and_once():
    steps = {1: lambda c: {**c, "said": ["a"]}, 2: lambda c: {**c, "said": [*c["said"], "b"]}}
    given = {"format": 1}
    assert upgraded(given, steps, "it") == {"format": 3, "said": ["a", "b"]} and given == {"format": 1}
    assert upgraded({"format": 2, "said": []}, steps, "it")["said"] == ["b"]
    for format, hint in ((4, "update attention-zoo"), (0, "copy it again"), (10**30, "update")):
        with pytest.raises(ZooError, match=f"has format {format}, this version reads up to 3: {hint}"):
            upgraded({"format": format}, steps, "it")


@pytest.fixture
def moved(monkeypatch):
    """GPT stands where it stands; files name it by where it once stood."""
    was = "zoo.models.transformers_of_old.GPT"
    monkeypatch.setitem(declared.MOVED, was, "zoo.models.language.gpt.GPT")
    return was


def test_a_class_that_moved_loads_by_its_old_name(moved, tmp_path):
    """From a model folder, a checkpoint, as init= and on the command line: no module of the old name is there."""
    run = tmp_path / "gpt"
    shutil.copytree(OLD / "gpt", run)
    path = run / "model" / "config.json"
    content = json.loads(path.read_text())
    config = content["model"]
    content["model"] = {**config, "_target_": moved}
    path.write_text(json.dumps(content))
    file = run / "checkpoints" / "best.ckpt"
    held = torch.load(file, weights_only=True)
    held["hyper_parameters"]["model"]["_target_"] = moved
    torch.save(held, file)
    expected = zoo.load(OLD / "gpt").state_dict()
    for model in (zoo.load(run), zoo.load(file), initialise(config, str(run), {})[0]):
        assert type(model).__name__ == "GPT"
        for key, tensor in expected.items():
            assert torch.equal(model.state_dict()[key], tensor)
    zoo.load(zoo.save(zoo.load(run), tmp_path / "again"))
    assert locate(moved).__name__ == "GPT" == declared.find(moved, "model").__name__
    with pytest.raises(ZooError, match="not declared"):
        declared.find("zoo.models.transformers_of_old.BERT", "model")


def test_what_moved_is_declared_where_it_is_now():
    for was, now in declared.MOVED.items():
        assert declared.find(was, "run") is declared.find(now, "run"), was


def test_names_of_old_configs_are_known():
    """Each class that a run of tests/old names may still be named."""
    for path in OLD.glob("*/config.yaml"):
        for part in ("model", "data"):
            for name in _targets(yaml.safe_load(path.read_text())[part]):
                assert declared.find(name, "run"), (path, name)


def _targets(node):
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        yield from _targets(each)


@pytest.mark.parametrize("format", [4, 99])
def test_a_folder_of_a_later_format_is_refused(format, tmp_path):
    shutil.copytree(OLD / "cnn" / "model", tmp_path / "cnn")
    path = tmp_path / "cnn" / "config.json"
    path.write_text(json.dumps({**FORMATS["cnn"], "format": format}))
    with pytest.raises(ZooError, match=f"config.json' has format {format}, this version reads up to 3: update"):
        zoo.load(tmp_path / "cnn")
    with pytest.raises(ZooError, match="this version reads up to 3"):
        folder.describe(tmp_path / "cnn")


@pytest.mark.parametrize("kind", ["folder", "checkpoint"])
def test_general_scores_of_when_the_root_was_in_their_map(kind, tmp_path):
    sizes = {"source_vocab": 9, "target_vocab": 8, "dim": 4}
    model = zoo.create_model("luong", **sizes).eval()
    torch.nn.init.normal_(model.decoder.attn.score.map)
    state = model.state_dict()
    state["decoder.attn.score.weight"] = state.pop("decoder.attn.score.map") / 2  # the root of its width, 4
    if kind == "folder":
        zoo.save(model, tmp_path)
        save_file(state, tmp_path / "model.safetensors")
        (tmp_path / "card.json").unlink()  # it has the hashes of the files of today
        again = zoo.load(tmp_path)
    else:
        again = Translation(zoo.create_model("luong", **sizes), {"_target_": "torch.optim.SGD", "lr": 0.1})
        again.on_load_checkpoint(checkpoint := {"state_dict": {f"model.{name}": each for name, each in state.items()}})
        again.load_state_dict(checkpoint["state_dict"])
        again = again.model.eval()
    ids = torch.randint(1, 8, (2, 5))
    torch.testing.assert_close(again(ids, ids), model(ids, ids))
