"""One run, one folder: what `python train.py` leaves behind."""

import csv
import json

import torch
import yaml

import zoo
from tests.training.compose import command_here
from tests.training.conftest import TINY


def test_the_folder_holds_everything(finished):
    folder, done = finished
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "metrics.csv",
        "model/README.md",
        "model/card.json",
        "model/config.json",
        "model/model.safetensors",
        "summary.json",
        "train.log",
    }
    assert "error" not in done.stderr and "Warning" not in done.stderr, done.stderr


def test_summary(finished):
    folder, done = finished
    summary = json.loads((folder / "summary.json").read_text())
    assert {"train/loss", "val/accuracy", "test/loss", "test/accuracy", "test/samples"} <= summary["metrics"].keys()
    assert summary["metrics"]["test/samples"] == 360
    assert summary["seed"] == 0
    assert summary["versions"]["torch"] == torch.__version__.partition("+")[0]
    for name in ("parameters", "wall_time_s", "samples_per_second", "peak_memory_mb"):
        assert summary[name] > 0
    again = "python train.py -m trainer.max_epochs=1"
    for said in ("test/accuracy", str(folder), "python -m zoo predict", again, " seed=0,1,2"):
        assert said in done.stdout.replace("\n", "")


def test_config_is_resolved_and_builds_the_model(finished):
    folder, _ = finished
    text = (folder / "config.yaml").read_text()
    assert "${" not in text
    config = yaml.safe_load(text)
    assert config["model"]["num_classes"] == 10
    model = zoo.build(config["model"])
    loaded = zoo.load(folder)
    assert {n: p.shape for n, p in model.named_parameters()} == {n: p.shape for n, p in loaded.named_parameters()}
    assert loaded.classes and loaded.preprocess.size == 8


def test_metrics_csv(finished):
    folder, _ = finished
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:2] == ["epoch", "step"]
    assert rows[-1]["test/samples"] == "360.0"


def test_a7_checkpoints_hold_plain_values_only(finished):
    folder, _ = finished
    for name in ("best", "last"):
        checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert checkpoint["hyper_parameters"]["model"]["_target_"] == "zoo.models.vision.vit.ViT"
        assert not any("_orig_mod" in key for key in checkpoint["state_dict"])


def test_testing_alone_gives_the_figures_of_the_run(finished, tmp_path):
    folder, _ = finished
    words = ["train=false", f"ckpt_path={folder}", "model.dropout=0.1", f"paths.runs={tmp_path / 'runs'}"]
    done = command_here(*TINY, *words)
    assert done.returncode == 0, done.stderr
    (other,) = (tmp_path / "runs").iterdir()
    before, after = (json.loads((path / "summary.json").read_text())["metrics"] for path in (folder, other))
    assert after == {name: value for name, value in before.items() if name.startswith("test/")}


def test_a10_compiled_in_place(tmp_path):
    """The compiler itself is slow: that names stay the plain model's is a matter of how it is called."""
    from tests.training.compose import compose
    from zoo.config import instantiate, plain
    from zoo.spec import ImageSpec
    from zoo.tasks.fit import fit

    config = plain(compose(*TINY, "compile=true"))
    config = fit(config, ImageSpec(classes=tuple("0123456789"), img_size=8, in_chans=1))
    task = instantiate(config["task"], model=config["model"])
    assert task.model._compiled_call_impl is not None
    assert not any("_orig_mod" in key for key in task.state_dict())


def test_the_card_says_what_came_to_the_figure(finished, monkeypatch):
    """And it is true: measured again, it is the same."""
    import subprocess

    from tests.training.conftest import ROOT
    from zoo.catalog import card as cards
    from zoo.training import checking

    folder, _ = finished
    card, summary = cards.read(folder / "model"), json.loads((folder / "summary.json").read_text())
    assert (card["task"], card["modality"], card["seed"]) == ("image_classification", "image", 0)
    assert card["metric"]["value"] == summary["metrics"]["test/accuracy"] and card["metric"]["samples"] == 360
    assert (card["data"]["name"], card["data"]["licence"]) == ("digits", "CC BY 4.0") and card["training_seconds"] > 0
    assert not {"folder", "cache"} & card["data"]["config"].keys() and str(folder.parent) not in json.dumps(card)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert (card["commit"] or "").removesuffix("-dirty") == head
    lacking = {"name", "licence", "metric.seeds", "chosen", "intended_use", "limits"}
    assert set(cards.missing(card)) == lacking  # what publish is told
    rows = list(checking.check(folder))
    assert [row.what for row in rows] == ["files", "weights", "probe, float32", "test part", "test/accuracy"]
    assert {row.verdict for row in rows} == {checking.EQUAL}
