"""Run folders of an earlier version keep loading: zoo.load, predict, init=, and the test of a checkpoint."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.training.compose import command_here
from zoo.cli import main
from zoo.pretrained import initialise

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests" / "old"
SHARED = ROOT.parent / "shared" / "data"
RING = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])


def ids(most: int):
    return (torch.tensor([[3, 1, 4, 1]]) * 7 % most,)


def window(channels: int = 2, time_features: int = 0):
    stamps = [torch.linspace(-0.5, 0.5, n * time_features).view(1, n, -1) if time_features else None for n in (24, 6)]
    return (torch.linspace(5, 12, 24 * channels).view(1, 24, channels), *stamps)


def nodes(width: int = 6):
    return torch.linspace(0, 1, 5 * width).view(5, width)


#: what the stored outputs were computed on
INPUTS = {
    "vit": lambda: (torch.linspace(-1, 1, 2 * 64).view(2, 1, 8, 8),),
    "gat": lambda: (torch.linspace(-1, 1, 5 * 64).view(5, 64), RING),
    "rgat": lambda: (None, RING, torch.arange(6)),
    "cnn": lambda: (torch.linspace(-1, 1, 2 * 64).view(2, 1, 8, 8),),
    "gpt": lambda: ids(25),
    "lora": lambda: ids(25),
    "llama": lambda: ids(270),
    "bert": lambda: ids(70),
    "gatv2": lambda: (nodes(), RING),
    "graph_transformer": lambda: (nodes(), RING, None, torch.linspace(-1, 1, 10).view(5, 2)),
    "han": lambda: (nodes(), [RING, RING.flip(0)]),
    "dlinear": window,
    "nlinear": window,
    "patchtst": window,
    "itransformer": lambda: window(time_features=4),
    "informer": lambda: window(time_features=4),
}


class Evil:
    """Code in a file."""

    def __reduce__(self):
        return Path.touch, (Path("touched"),)


WITH_EMA = sorted(INPUTS.keys() - {"vit", "gat", "rgat"})
needs_aifb = pytest.mark.skipif(not (SHARED / "Entities").is_dir(), reason="AIFB is not at hand")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("how", ["load", "init from the run", "init from its checkpoint"])
def test_an_old_run_gives_its_outputs(name, how):
    if how == "load":
        model = zoo.load(OLD / name)
    else:
        (checkpoint,) = (OLD / name).glob("checkpoints/*.ckpt")
        config = json.loads((OLD / name / "model" / "config.json").read_text())["model"]
        model, changes = initialise(config, str(OLD / name if how == "init from the run" else checkpoint), {})
        assert not changes
    stored = torch.tensor(json.loads((OLD / name / "outputs.json").read_text()))
    torch.testing.assert_close(outputs(name, model)[: len(stored)], stored, rtol=1e-5, atol=1e-6)


def outputs(name, model):
    """What a model says of its input; a forecaster's mean."""
    with torch.no_grad():
        said = model.eval()(*INPUTS[name]())
    return said if isinstance(said, torch.Tensor) else said.mean


@pytest.mark.parametrize("name", WITH_EMA)
def test_an_old_checkpoint_of_an_average_holds_the_live_weights_too(name):
    """So the outputs above are the average's."""
    (file,) = (OLD / name).glob("checkpoints/*.ckpt")
    content = torch.load(file, weights_only=True)
    average, live = content["state_dict"], content["current_model_state"]
    assert any(not torch.equal(average[key], live[key]) for key in average)
    torch.testing.assert_close(outputs(name, zoo.load(file)), outputs(name, zoo.load(OLD / name)))


def test_predict_on_an_old_run_of_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["predict", OLD / "vit", "test:17", "--out", tmp_path / "a.png"]
    assert main([*map(str, words)]) == 0, capsys.readouterr().err
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize("name", ["gat", "rgat"])
def test_predict_on_an_old_run_of_graphs(name, tmp_path, monkeypatch, capsys):
    arrays = {"edge_index": RING.numpy(), "x": np.linspace(-1, 1, 5 * 64, dtype=np.float32).reshape(5, 64)}
    if name == "rgat":  # it learned a row for each of its nodes
        nodes = zoo.load(OLD / name).config["num_nodes"]
        arrays |= {"x": np.arange(nodes), "edge_type": np.arange(6)}
    np.savez(tmp_path / "graph.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    words = ["predict", OLD / name, tmp_path / "graph.npz", "--out", tmp_path / "a.png"]
    assert main([*map(str, words)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "name, sizes",
    [
        ("vit", ["model=vit", "model.dim=8", "model.depth=1", "model.num_heads=2"]),
        ("gat", ["model=gat", "model.head_dim=2", "model.num_heads=2"]),
        pytest.param(
            "rgat",
            ["model=rgat", "model.head_dim=1", "model.num_heads=1", "model.attention.num_bases=1"],
            marks=needs_aifb,
        ),
    ],
)
def test_an_old_checkpoint_is_tested_as_then(name, sizes, tmp_path, monkeypatch):
    words = ["train=false", f"ckpt_path={OLD / name}", f"hydra.run.dir={tmp_path / 'run'}", "callbacks.figures=null"]
    monkeypatch.chdir(tmp_path)
    done = command_here(*sizes, *words, f"paths.data={SHARED}")
    assert done.returncode == 0, done.stderr
    then = json.loads((OLD / name / "summary.json").read_text())["metrics"]
    now = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    assert now["test/accuracy"] == pytest.approx(then["test/accuracy"], abs=1e-6)
    assert now["test/loss"] == pytest.approx(then["test/loss"], rel=1e-4)


@pytest.mark.parametrize(
    "written, sentence",
    [
        ("mlp_ratio: .nan", "mlp_ratio=nan is not a finite number"),
        ("mlp_ratio: 1.0e+300", "cannot be built"),
        ("mlp_ratio: -3.0", "mlp_ratio=-3.0 leaves nothing"),
        ("mlp_ratio: 1.0e+7", "far more than the weights"),
        ("patch_size: 4.0", "patch_size=4.0 is a float, not int"),
        ("patch_size: 0", "must be positive"),
        ("patch_size: 1000000000", "is larger than anything in the weights"),
    ],
)
def test_sizes_of_a_run_that_others_made_are_no_larger_than_its_checkpoint(written, sentence, tmp_path, monkeypatch):
    """What a config leaves open is read in the run's: refused before anything of that size takes memory (A8)."""
    run, key = tmp_path / "theirs", written.partition(":")[0]
    shutil.copytree(OLD / "vit", run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(rf"(?m)^  {key}: .*$", f"  {written}", text))
    monkeypatch.chdir(tmp_path)
    sizes = ["model=vit", "model.dim=8", "model.depth=1", "model.num_heads=2"]
    done = command_here(
        *sizes, "train=false", f"ckpt_path={run}", f"hydra.run.dir={tmp_path / 'run'}", f"paths.data={SHARED}"
    )
    assert done.returncode == 2 and sentence in done.stderr and str(run / "config.yaml") in done.stderr
    assert "Traceback" not in done.stderr and "frame #0" not in done.stderr


def _nan(content):
    return {**content["state_dict"], "model.head.bias": content["state_dict"]["model.head.bias"] * torch.nan}


@pytest.mark.parametrize(
    "train, change, sentence",
    [
        (False, lambda c: {"state_dict": {}}, "not a checkpoint of a run"),
        (False, lambda c: {"epoch": 1}, "not a checkpoint of a run"),
        (False, lambda c: {**c, "state_dict": "hello"}, "not a checkpoint of a run"),
        (False, lambda c: {"state_dict": {"a": 3}}, "not a tensor under a name"),
        (False, lambda c: {"state_dict": c["state_dict"]}, "no checkpoint that a training wrote"),
        (False, lambda c: {**c, "loops": {"fit_loop": 5}}, "other states than those"),
        (True, lambda c: {**c, "loops": {"fit_loop": 5}}, "other states than those"),
        (True, lambda c: {**c, "state_dict": _nan(c)}, "NaN or infinite in model.head.bias (10)"),
        (False, lambda c: {**c, "state_dict": _nan(c)}, "NaN or infinite in model.head.bias (10)"),
        (False, lambda c: {**c, "extra": Evil()}, "which is code of its own and was not run"),
    ],
)
def test_a_checkpoint_that_others_made(train, change, sentence, tmp_path, monkeypatch):
    """By ckpt_path= as by init=: a sentence, no code run, no folder left (A7, A8)."""
    run = tmp_path / "theirs"
    shutil.copytree(OLD / "vit", run)
    (file,) = run.glob("checkpoints/*.ckpt")
    torch.save(change(torch.load(file, weights_only=True)), file)
    monkeypatch.chdir(tmp_path)
    sizes = ["model=vit", "model.dim=8", "model.depth=1", "model.num_heads=2", f"train={str(train).lower()}"]
    places = [f"ckpt_path={file}", f"hydra.run.dir={tmp_path / 'run'}", f"paths.data={SHARED}"]
    done = command_here(*sizes, *places)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "weights_only" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"theirs", "cache"}
