"""Publishing to a folder: complete cards alone, whole or not at all, several publishers one after the other."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

import zoo
from tests.catalog import hub_server
from tests.catalog.shelf import WHOLE, model_folder
from zoo.catalog import about, card, publish
from zoo.cli import main
from zoo.errors import ZooError
from zoo.files import write_text
from zoo.pretrained import probe


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("publish") / "model", **WHOLE)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    recorded = {key: WHOLE[key] for key in ("task", "task_config", "seed", "command", "training_seconds", "probe")}
    metric = {key: WHOLE["metric"][key] for key in ("name", "direction", "value", "samples")}
    metrics = {"test/accuracy": 0.9875, "test/loss": 0.125}
    about = {**recorded, "data": {"name": "digits", "config": {"a": 1}}, "metric": metric, "metrics": metrics}
    return model_folder(tmp_path_factory.mktemp("bare") / "model", **about)


SAID = (
    "licence=MIT", "data.source=UCI: digits", "data.licence=CC-BY-4.0", "chosen=seed 0, before any was tested",
    "intended_use=Tests.", "limits=[small] pictures: 8 x 8",
)  # fmt: skip


def test_a_published_model_is_found_by_its_name(complete, tmp_path, monkeypatch, capsys):
    assert main(["publish", str(complete), "vit.mine", "--to", str(tmp_path / "zoo")]) == 0
    told = capsys.readouterr().out
    assert f"ZOO_INDEX={tmp_path / 'zoo'}" in told and "#sha256=" in told
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["index.json", "vit.mine"]
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path / "zoo"))
    assert "vit.mine" in zoo.list_pretrained("vit*", task="image_classification", licence="MIT", modality="image")
    assert "vit.mine" not in zoo.list_pretrained(max_parameters=10)
    entry, told = zoo.catalog.find("vit.mine"), zoo.info("vit.mine")
    assert entry.summary["metric"] == "test/accuracy" and entry.summary["value"] == 0.9875
    folder = zoo.catalog.local("vit.mine")
    assert entry.summary["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    card.verify(folder, told)
    assert zoo.load(folder).config == zoo.load(complete).config


def test_an_incomplete_card_is_refused_naming_what_is_missing(bare, tmp_path, capsys):
    words = ["publish", str(bare), "vit.mine", "--to", str(tmp_path / "zoo")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert all(key in said for key in ("data.source", "data.licence", "licence", "chosen", "intended_use", "limits"))
    assert "metric" not in said and list((tmp_path / "zoo").iterdir()) == []
    assert main([*words, *SAID]) == 0
    told = card.read(tmp_path / "zoo" / "vit.mine")
    assert told["limits"] == "[small] pictures: 8 x 8" and told["data"]["source"] == "UCI: digits"
    assert told["data"]["config"] == {"a": 1} and told["metric"]["seeds"] == [0], "what was recorded stays"


def test_a_file_says_the_same_and_words_go_before_it(bare, tmp_path):
    (tmp_path / "about.yaml").write_text(
        "licence: GPL\ndata: {source: UCI, licence: CC-BY-4.0}\nchosen: the only one\nintended_use: Tests.\nlimits: Small.\n"
        "metric: {mean: .98, std: .01, seeds: [0, 1, 2]}\npublished: {value: .99, source: a paper}\n"
    )
    words = ["--to", str(tmp_path / "zoo"), "--about", str(tmp_path / "about.yaml"), "licence=MIT"]
    assert main(["publish", str(bare), "vit.mine", *words]) == 0
    told = card.read(tmp_path / "zoo" / "vit.mine")
    assert told["licence"] == "MIT" and told["metric"]["seeds"] == [0, 1, 2] and told["metric"]["value"] == 0.9875
    assert told["published"] == {"value": 0.99, "source": "a paper"}
    assert "mean of 3 seeds" in (tmp_path / "zoo" / "vit.mine" / "README.md").read_text()


def test_another_of_the_recorded_metrics_is_the_cards(bare, tmp_path):
    words = ["publish", str(bare), "vit.mine", "--to", str(tmp_path / "zoo"), *SAID]
    assert main([*words, "metric.name=test/loss"]) == 0
    told = card.read(tmp_path / "zoo" / "vit.mine")["metric"]
    assert (told["name"], told["value"], told["direction"], told["samples"]) == ("test/loss", 0.125, "min", 360)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["lisence=MIT"], "lisence is not a key of a card; did you mean 'licence'?"),
        (["metric.value=1.0"], "metric.value is recorded, not said"),
        (["parameters=1"], "parameters is recorded, not said"),
        (["licence"], "'licence' is not KEY=VALUE"),
        (["licence=3"], "licence is a int, not a str"),
        (["metric.mean=much"], "metric.mean is a str, not a int or float"),
        (["metric.seeds=[1, [2]]"], "metric.seeds are whole numbers"),
        (["metric.seeds=[x]"], "metric.seeds are whole numbers"),
        (["metric.name=test/f1"], "metric.name='test/f1' is not a metric that the run has recorded"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(bare, tmp_path, capsys, words, sentence):
    assert main(["publish", str(bare), "vit.mine", "--to", str(tmp_path / "zoo"), *SAID, *words]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "zoo" / "vit.mine").exists()


@pytest.mark.parametrize("name", ["vit", "Vit.mine", "../vit.mine", "vit.mine.2", "a/b.c", ".mine", "vit."])
def test_names_are_model_and_tag(complete, tmp_path, capsys, name):
    assert main(["publish", str(complete), name, "--to", str(tmp_path / "zoo")]) == 2
    assert "<model>.<tag>" in capsys.readouterr().err and not (tmp_path / "zoo").exists()


def test_over_a_name_only_on_purpose(complete, tmp_path, capsys):
    words = ["publish", str(complete), "vit.mine", "--to", str(tmp_path / "zoo")]
    assert main(words) == 0
    before = (tmp_path / "zoo" / "index.json").read_text()
    (tmp_path / "zoo" / "vit.mine" / "tokenizer.json").write_text("{}")
    assert main([*words, "limits=Other."]) == 2 and "or give --replace" in capsys.readouterr().err
    assert (tmp_path / "zoo" / "index.json").read_text() == before
    assert main([*words, "limits=Other.", "--replace"]) == 0
    assert zoo.info(tmp_path / "zoo" / "vit.mine")["limits"] == "Other."
    names = sorted(path.name for path in (tmp_path / "zoo" / "vit.mine").iterdir())
    assert names == ["README.md", "card.json", "config.json", "model.safetensors"], "nothing of the older one stays"
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["index.json", "vit.mine"]


def test_a_changed_file_is_not_published(complete, tmp_path, capsys):
    shutil.copytree(complete, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text((complete / "config.json").read_text() + " ")
    assert main(["publish", str(tmp_path / "model"), "vit.mine", "--to", str(tmp_path / "zoo")]) == 2
    assert "card.json says" in capsys.readouterr().err and list((tmp_path / "zoo").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("model.safetensors", "garbage", "model.safetensors"),
        ("config.json", '{"format": 3, "model": {"_target_": "os.system", "command": "ls"}}', "os.system"),
        ("card.json", {"parameters": 1}, "weights: parameters=1 is stated"),
        ("card.json", {"probe": {**WHOLE["probe"], "count": 1}}, "probe, float32: the outputs differ"),
    ],
)
def test_what_does_not_load_or_is_another_is_not_published(complete, tmp_path, capsys, file, content, sentence):
    folder = shutil.copytree(complete, tmp_path / "model")
    if isinstance(content, str):
        (folder / file).write_text(content)
    card.write(folder, {**card.read(folder), **(content if isinstance(content, dict) else {})})
    assert main(["publish", str(folder), "vit.mine", "--to", str(tmp_path / "zoo")]) == 2
    said = capsys.readouterr().err
    assert "is not published" in said and sentence in said and list((tmp_path / "zoo").iterdir()) == []


def test_an_adapter_without_its_base_is_not_published(tmp_path):
    adapted = zoo.adapt(zoo.load(model_folder(tmp_path / "base")), "lora")
    folder = zoo.save_adapter(adapted, tmp_path / "adapter", **WHOLE)
    with pytest.raises(ZooError, match=r"has no model.safetensors: of an adapter, save model and adapter together"):
        publish.publish(folder, card.read(folder), tmp_path / "zoo")


def test_a_server_is_not_written_to(complete, capsys):
    assert main(["publish", str(complete), "vit.mine", "--to", "https://host/zoo"]) == 2
    assert "publish to the folder that it serves" in capsys.readouterr().err


def test_an_adapter_is_published_with_its_base(tmp_path):
    """As a run of finetune=lora leaves it: the base lies elsewhere."""
    import torch

    base = model_folder(tmp_path / "base")
    adapted = zoo.adapt(zoo.load(base), "lora")
    torch.nn.init.normal_(next(p for n, p in adapted.named_parameters() if p.requires_grad and not p.any()))
    folder = zoo.save_adapter(adapted, tmp_path / "adapter", **{**WHOLE, "probe": probe.make(adapted)})
    assert main(["publish", str(folder), "vit.mine", "--to", str(tmp_path / "zoo")]) == 0
    shutil.rmtree(base)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(zoo.load(tmp_path / "zoo" / "vit.mine")(x), adapted.eval()(x))
    assert zoo.info(tmp_path / "zoo" / "vit.mine")["limits"] == WHOLE["limits"]


def test_rounded_weights_are_measured_anew(tmp_path):
    """On the real digits: figure, samples, probe and bytes are the published file's, not the run's."""
    task = {"_target_": "zoo.tasks.classification.Classification"}
    about = {**WHOLE, "task_config": task, "metric": {**WHOLE["metric"], "value": 0.5, "samples": 1}}
    folder = model_folder(tmp_path / "model", **about)
    words = ["publish", str(folder), "vit.mine", "--to", str(tmp_path / "zoo"), "--dtype", "bfloat16"]
    assert main(words) == 0
    old, new = card.read(folder), card.read(tmp_path / "zoo" / "vit.mine")
    assert (new["dtype"], new["metric"]["samples"]) == ("bfloat16", 360) and new["metric"]["value"] != 0.5
    assert new["files"]["model.safetensors"]["bytes"] < 0.7 * old["files"]["model.safetensors"]["bytes"]
    assert new["probe"] != old["probe"] and new["data"] == old["data"] and new["seed"] == old["seed"]
    assert zoo.load(tmp_path / "zoo" / "vit.mine").head.weight.dtype.itemsize == 2


def test_rounded_weights_of_data_of_ones_own(tmp_path, capsys):
    """A card holds no path of theirs: --data says where they lie now."""
    for i, part in itertools.product(range(10), range(4)):
        (folder := tmp_path / "photos" / str(i)).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * i + part).save(folder / f"{part}.png")
    task = {"_target_": "zoo.tasks.classification.Classification"}
    sizes = {"img_size": 8, "in_chans": 1, "test_fraction": 0.25, "val_fraction": 0.4}
    data = {"_target_": "datamodules.images.ImageFolder", **sizes}
    told = {**WHOLE, "task_config": task, "data": {**WHOLE["data"], "name": "photos", "config": data}}
    words = ["publish", str(model_folder(tmp_path / "model", **told)), "vit.mine", "--to", str(tmp_path / "zoo")]
    assert main([*words, "--dtype", "bfloat16"]) == 2 and "--data PATH" in capsys.readouterr().err
    assert main([*words, "--data", str(tmp_path / "photos")]) == 2 and "give --dtype" in capsys.readouterr().err
    assert main([*words, "--dtype", "bfloat16", "--data", str(tmp_path / "photos")]) == 0
    new = card.read(tmp_path / "zoo" / "vit.mine")
    assert new["metric"]["samples"] == 10 and str(tmp_path) not in json.dumps(new)


def test_rounding_needs_the_data_to_measure_on(bare, tmp_path, capsys):
    told = card.read(bare)
    folder = model_folder(tmp_path / "model", **{**told, "data": {"name": "digits"}})
    assert main(["publish", str(folder), "vit.mine", "--to", str(tmp_path / "zoo"), "--dtype", "bfloat16"]) == 2
    assert "has to be measured" in capsys.readouterr().err


def test_to_the_hub(complete, bare, tmp_path, monkeypatch, cache, capsys):
    """By its own client, to a stand-in: a complete card alone, and what is printed loads it."""
    for far in hub_server.serve(monkeypatch, tmp_path / "hub"):
        monkeypatch.setenv("HF_TOKEN", far.token)
        assert main(["publish", str(bare), "vit.mine", "--to", "hf://me/vit"]) == 2
        assert "lacks data.source" in capsys.readouterr().err
        words = ["publish", str(complete), "vit.mine", "--to", "hf://me/vit"]
        assert main(words) == 0
        where = re.search(r'zoo\.load\("(hf://me/vit@[0-9a-f]{40})"\)', capsys.readouterr().out)[1]
        assert zoo.info(where)["name"] == "vit.mine" and zoo.load(where).config == zoo.load(complete).config
        assert main(words) == 2 and "--replace" in capsys.readouterr().err
        assert main([*words, "--replace", "limits=Other."]) == 0 and zoo.info("hf://me/vit")["limits"] == "Other."


def test_two_at_once_lose_nothing(complete, tmp_path):
    """Two processes of eight names each, into one folder that neither finds there."""
    code = (
        "import sys; from pathlib import Path; from zoo.catalog import card, publish\n"
        "source = Path(sys.argv[1]); content = card.read(source)\n"
        "for i in range(8): publish.publish(source, {**content, 'name': f'vit.{sys.argv[3]}{i}'}, Path(sys.argv[2]))\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(complete), str(tmp_path / "zoo")]
    both = [subprocess.Popen([*command, word], stdout=subprocess.PIPE, text=True) for word in ("a", "b")]
    assert [each.communicate(timeout=100)[0].strip() for each in both] == ["False", "False"]
    wanted = {f"vit.{word}{i}" for word in "ab" for i in range(8)}
    assert set(zoo.catalog.FolderZoo(str(tmp_path / "zoo")).index()) == wanted
    assert {path.name for path in (tmp_path / "zoo").iterdir()} == {"index.json", *wanted}


@pytest.mark.parametrize("step", ["copy", "index"])
def test_a_publication_that_fails_leaves_the_zoo_as_it_was(complete, tmp_path, monkeypatch, step):
    """As where the disk is full."""
    content, place = card.read(complete), tmp_path / "zoo"
    publish.publish(complete, content, place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copyfile", full) if step == "copy" else monkeypatch.setattr(
        publish, "write_text", full
    )
    for name, replace in (("vit.other", False), ("vit.mine", True)):
        with pytest.raises(ZooError, match="No space left on device"):
            publish.publish(complete, {**content, "name": name, "limits": "Other."}, place, replace)
        assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_what_a_killed_publisher_left_is_put_right(complete, tmp_path):
    """Killed between the two renames of a replacement, or before the index was written."""
    content, place = card.read(complete), tmp_path / "zoo"
    publish.publish(complete, content, place)
    os.rename(place / "vit.mine", place / ".vit.mine.old")
    (place / ".vit.mine.1.part").mkdir()
    with pytest.raises(ZooError, match="already"):
        publish.publish(complete, content, place)
    card.verify(place / "vit.mine", card.read(place / "vit.mine"))
    write_text(place / "index.json", json.dumps({"format": 1, "models": {}}))
    publish.publish(complete, content, place, replace=True)
    assert list(zoo.catalog.FolderZoo(str(place)).index()) == ["vit.mine"]
    assert sorted(path.name for path in place.iterdir()) == ["index.json", "vit.mine"]


@pytest.mark.parametrize("text", ["2017-02-30", "0b_", "1" * 5000, "[" * 2000, "a: b", "*x", "!!python/name:os.system"])
def test_what_yaml_cannot_read_is_the_text_itself(text):
    assert about.read(None, [f"chosen={text}"]) == {"chosen": text}
