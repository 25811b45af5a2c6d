"""`python -m zoo check` finds an edited figure, a weight times 1.01 with new hashes, a test part shifted by one."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

import zoo as library
from zoo.catalog import card as cards
from zoo.pretrained import probe
from zoo.training import card, evaluation

VIT = {
    "_target_": "zoo.models.vision.vit.ViT", "img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "dim": 8,
    "depth": 1, "num_heads": 2,
}  # fmt: skip
DIGITS = {"_target_": "datamodules.images.Digits", "split": "stratified"}
CLASSIFY = {"_target_": "zoo.tasks.classification.Classification", "monitor": "accuracy", "mode": "max"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ViT that has learned nothing, and what is true of it."""
    from datamodules.images import Digits

    torch.manual_seed(0)
    model, data = library.build(VIT), Digits()
    data.setup()
    model.preprocess, model.classes = data.spec.preprocess, data.classes
    metrics, samples = evaluation.evaluate(model, DIGITS, CLASSIFY)
    metric = {"name": "test/accuracy", "direction": "max", "value": metrics["test/accuracy"], "samples": samples}
    told = {"data": card.of_data(data, DIGITS), "task_config": CLASSIFY, "metric": metric, "probe": probe.make(model)}
    return library.save(model, tmp_path_factory.mktemp("check") / "run" / "model", **told)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edited(folder, **changes):
    """The folder with another card, whose hashes are right."""
    cards.write(folder, {**cards.read(folder), **changes})


def rows(out):
    (model,) = json.loads(out)
    return {row["what"]: row["verdict"] for row in model["rows"]}


def test_a_model_that_is_as_its_card_says_and_its_run_says_the_same(zoo, folder):
    code, out, err = zoo("check", folder)
    assert code == 0 and not err and "different" not in out
    for what in ("files", "probe, float32", "test part", "test/accuracy"):
        assert next(line for line in out.splitlines() if line.strip().startswith(what)).split()[-1] == "equal"
    told = [json.loads(zoo("check", place, "--json", "--strict")[1])[0]["rows"] for place in (folder, folder.parent)]
    for one, other in zip(*told, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_an_edited_figure_is_found(zoo, copy):
    metric = cards.read(copy)["metric"]
    edited(copy, metric={**metric, "value": metric["value"] + 0.006})  # two of 360 samples
    code, out, _ = zoo("check", copy, "--json")
    assert code == 1 and rows(out)["test/accuracy"] == "different" and rows(out)["test part"] == "equal"
    edited(copy, metric={**metric, "value": metric["value"] + 0.002})  # less than one
    assert zoo("check", copy)[0] == 0


def test_a_changed_weight_is_found_by_its_hash_and_with_new_hashes_by_the_probe(zoo, copy):
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    name = next(name for name in state if name.endswith("attn.projection.qkv.weight"))
    save_file({**state, name: state[name] * 1.01}, copy / "model.safetensors", {"format": "pt"})
    code, out, _ = zoo("check", copy)
    assert code == 1 and "sha256" in out and "probe" not in out  # what is not what it says is not loaded
    edited(copy)
    code, out, _ = zoo("check", copy, "--json", "--probe")
    assert code == 1 and rows(out) == {"files": "equal", "weights": "equal", "probe, float32": "different"}


def test_the_weights_decide_in_which_precision_a_probe_is_compared(zoo, copy):
    """Stated in bfloat16 alone, a probe would let 2 % pass in weights of float32."""
    told = cards.read(copy)["probe"]
    edited(copy, probe={**told, "outputs": {"bfloat16": told["outputs"]["float32"]}})
    code, out, _ = zoo("check", copy, "--json", "--probe")
    assert code == 1 and rows(out)["probe, float32"] == "different" and rows(out)["probe, bfloat16"] == "equal"


@pytest.mark.parametrize("change", [{"parameters": 1}, {"dtype": "bfloat16"}, {"architecture": "zoo.models.GAT"}])
def test_what_the_card_says_of_the_weights_is_compared(zoo, copy, change):
    edited(copy, **change)
    code, out, _ = zoo("check", copy, "--json", "--probe")
    assert code == 1 and rows(out) == {"files": "equal", "weights": "different", "probe, float32": "equal"}


def test_samples_are_compared_and_what_is_not_said_is_skipped(zoo, copy):
    told = cards.read(copy)
    data = {key: value for key, value in told["data"].items() if key != "part"}
    edited(copy, data=data)
    code, out, _ = zoo("check", copy, "--json", "--strict")
    assert code == 3 and rows(out)["test part"] == "skipped" and rows(out)["test/accuracy"] == "equal"
    edited(copy, data=data, metric={**told["metric"], "samples": 10})
    code, out, _ = zoo("check", copy, "--json")
    assert code == 1 and rows(out)["test part"] == "different"
    edited(copy, probe=None)
    assert zoo("check", copy, "--strict", "--probe")[0] == 3


def test_an_index_that_says_otherwise_than_the_card(zoo, copy, monkeypatch, tmp_path):
    from zoo.catalog import publish

    place = copy.rename(tmp_path / "vit.mine")
    edited(place, name="vit.mine")
    entry = publish.entry(place, cards.read(place))
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path))
    for said, code in (({}, 0), ({"value": 0.9999, "licence": "CC0"}, 1)):
        told = {"format": 1, "models": {"vit.mine": {**entry, "summary": {**entry["summary"], **said}}}}
        (tmp_path / "index.json").write_text(json.dumps(told))
        found, out, _ = zoo("check", "vit.mine", "--json", "--probe")
        assert found == code and rows(out)["index"] == ("different" if said else "equal")
        assert all(f"{key}={value}, and the card" in out for key, value in said.items())


def test_a_test_part_that_is_shifted_by_one_is_found(zoo, folder, monkeypatch):
    from datamodules.base import DataModule

    kept = DataModule.rows
    monkeypatch.setattr(DataModule, "rows", lambda self, stage: kept(self, stage) - 1)
    code, out, _ = zoo("check", folder, "--json")
    assert code == 1 and rows(out)["test part"] == "different"


def test_series_shifted_by_one_row_are_found(tmp_path):
    config = {"_target_": "datamodules.series.NycWeather", "lookback": 24, "horizon": 4, "split": [5000, 1700, 1700]}
    forecast = {"_target_": "zoo.tasks.forecasting.Forecasting"}
    torch.manual_seed(0)
    model = library.build({"_target_": "zoo.models.series.linear.DLinear", "channels": 6, "lookback": 24, "horizon": 4})
    first = evaluation.test(model, config, forecast, limits=2)
    assert evaluation.test(model, config, forecast, limits=2) == first
    other = evaluation.test(model, {**config, "split": [5000, 1701, 1700]}, forecast, limits=2)
    assert other.samples == first.samples and other.digest != first.digest
    # Of the model's own files neither probe nor windows know the scale, and predict goes by it.
    model.preprocess = evaluation.data_of(model, config).spec.preprocess
    evaluation.test(model, config, forecast, limits=1)
    model.preprocess = replace(model.preprocess, mean=tuple(1.01 * each for each in model.preprocess.mean))
    with pytest.raises(evaluation.OtherData, match=r"their mean is .*, and the model's own preprocessing has"):
        evaluation.test(model, config, forecast, limits=1)


def test_what_is_not_at_hand_is_skipped_and_never_passed(zoo, copy, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "nothing"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    data = cards.read(copy)["data"]
    for config, why in (
        ({"_target_": "datamodules.images.FashionMNIST"}, "ZOO_OFFLINE"),
        ({"_target_": "datamodules.images.ImageFolder", "root": "/etc"}, "--data PATH"),
    ):
        edited(copy, data={**data, "config": config})
        code, out, _ = zoo("check", copy)
        assert code == 0 and "test/accuracy skipped:" in out and why in out
        assert zoo("check", copy, "--strict")[0] == 3
    edited(copy, data={**data, "vintage": "CPython 1.5"})
    assert "they are those of CPython 1.5" in zoo("check", copy)[1]
    edited(copy, metric=None, probe=None)
    code, out, _ = zoo("check", copy, "--json")
    assert code == 0 and rows(out) == {"files": "equal", "weights": "equal", "probe": "skipped", "metric": "skipped"}
    (copy / "card.json").unlink()
    assert rows(zoo("check", copy, "--json")[1])["files"] == "skipped"


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": "os.system", "command": "touch here"},
        {"_target_": "datamodules.files.download", "name": "x"},
        {"_target_": "zoo.models.GAT", "in_dim": 3, "num_classes": 2},
        {"_target_": "datamodules.images.Digits", "_args_": [1]},
        {"_target_": "datamodules.images.Digits", "split": "${oc.env:HOME}"},
        {"_target_": "datamodules.images.Digits", "_partial_": True},
        {"_target_": "datamodules.graphs.DictionaryLookup", "graphs": 10**12},
        {"_target_": "datamodules.images.Digits", "augment": {"_target_": "os.system", "command": "touch here"}},
    ],
)
def test_a8_a_card_builds_nothing_but_declared_data(refused, copy, config):
    edited(copy, data={"config": config})
    assert str(copy) in refused("check", copy)


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": "os.system"},
        {"_target_": "zoo.tasks.task.Task"},
        {**CLASSIFY, "mode": {"_target_": "os.system", "command": "touch here"}},
        {**CLASSIFY, "unknown": 1},
        {**CLASSIFY, "multilabel": True},
        {"_target_": "zoo.tasks.forecasting.Forecasting"},
        {"_target_": "zoo.tasks.language_modelling.LanguageModelling"},
    ],
)
def test_a8_a_card_builds_nothing_but_tasks(refused, copy, config):
    edited(copy, task_config=config)
    assert str(copy) in refused("check", copy)


def test_bad_input(refused, zoo, copy, monkeypatch, tmp_path):
    assert "no model of a zoo" in refused("check", "vit.nothing")
    assert "takes a name" in refused("check")
    assert "data folder" in refused("check", copy, "--data", "photos")
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path))
    code, out, _ = zoo("check", copy, "vit.nothing", "--probe")  # of several the others are told all the same
    assert code == 1 and "probe, float32" in out and "model different:" in out


def test_a_run_of_old_has_no_card(zoo, run, tmp_path):
    from omegaconf import OmegaConf

    run = shutil.copytree(run, tmp_path / "run")
    config = OmegaConf.load(run / "config.yaml")
    (run / "model" / "card.json").unlink()
    OmegaConf.save({**config, "task": CLASSIFY}, run / "config.yaml")
    code, out, _ = zoo("check", run, "--json")
    assert code == 1 and rows(out)["test/accuracy"] == "different"  # 12.5 %, says its summary.json
