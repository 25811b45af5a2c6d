"""A task of one's own is one file and one yaml; the rest (curves, checkpoints, figures, predict) assumes no classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.own import package
from zoo import conf
from zoo.cli import main
from zoo.errors import ZooError
from zoo.training.run import train
from zoo.training.summary import save_model

FILES = {
    "__init__.py": "",
    "task.py": (Path(__file__).parent / "regression.py").read_text(),
    "conf/task/regression.yaml": """# The regression of numbers: mean squared error.
_target_: ownpackage.task.Regression
_recursive_: false
_convert_: all
monitor: mae
mode: min
optimizer: {_target_: torch.optim.AdamW, _partial_: true}
finetune: ${finetune}
compile: ${compile}
""",
    "data.py": """
from dataclasses import dataclass
import torch
from datamodules.images import Digits, ImageArrays


@dataclass(kw_only=True, eq=False, repr=False)
class Ink(Digits):
    '''How bright is it above, and how bright below?'''

    def load(self):
        images = super().load().images
        halves = images.float().view(len(images), 2, -1).mean(2) / 25
        return ImageArrays(images, halves, ())


@dataclass(kw_only=True, eq=False, repr=False)
class Marks(Digits):
    '''Each digit is even or not, and below five or not: any of the two.'''

    def load(self):
        found = super().load()
        marks = torch.stack([found.labels % 2 == 0, found.labels < 5], 1)
        return ImageArrays(found.images, marks, ("even", "small"))
""",
    "conf/data/ink.yaml": "defaults:\n  - digits\n  - _self_\n_target_: ownpackage.data.Ink\n",
    "conf/data/marks.yaml": "defaults:\n  - digits\n  - _self_\n_target_: ownpackage.data.Marks\n",
}
QUICK = ["callbacks.progress=null", "trainer.accelerator=cpu", "trainer.max_epochs=3"]
VIT = ["model=vit", "model.dim=16", "model.depth=1", "model.num_heads=2", "model.mlp_ratio=4"]


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_PACKAGES", "ownpackage")
    with package("ownpackage", FILES, tmp_path / "home", monkeypatch):
        yield


def run(folder, *words):
    record = train(conf.compose_train([*QUICK, f"paths.run={folder}", *words]), folder)
    save_model(folder, record.task.model, record.metrics, [])
    return record


def picture(folder):
    Image.fromarray(np.tile(np.arange(0, 256, 32, dtype=np.uint8), (8, 1))).save(folder / "picture.png")
    return folder / "picture.png"


def test_the_regression_of_numbers(tmp_path, capsys):
    folder = tmp_path / "run"
    record = run(folder, *VIT, "data=ink", "task=regression", "task.optimizer.lr=1e-2", "trainer.max_epochs=8")
    targets = record.data.source.labels
    alone = (targets[record.data.rows("test")] - targets[record.data.rows("train")].mean(0)).abs().mean()
    assert record.metrics["test/mae"] < 0.7 * float(alone), "better than the mean"
    assert record.data.spec.num_targets == record.task.model.num_classes == 2
    assert {"train/mae", "val/mae", "test/mae", "test/loss"} <= record.metrics.keys()
    assert not any("accuracy" in name for name in record.metrics)
    # What is best, and the figures, follow the task's monitor.
    lines = (folder / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/mae")
    best = min(float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column])
    saved = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    kept = next(state for name, state in saved["callbacks"].items() if "val/mae" in name)
    assert float(kept["best_model_score"]) == pytest.approx(best)
    assert {path.name for path in (folder / "figures").iterdir()} == {"learning_curves.png", "attention_maps.png"}
    # The model knows what its outputs are; predict and info say numbers, not shares of classes.
    model = zoo.load(folder)
    assert (model.targets, model.classes) == ("numbers", None)
    capsys.readouterr()
    assert main(["predict", str(folder), str(picture(tmp_path)), "--out", str(tmp_path / "a.png")]) == 0
    told = capsys.readouterr().out
    assert "number 0" in told and "number 1" in told and "%" not in told
    assert main(["info", str(folder)]) == 0 and "parameters" in capsys.readouterr().out


def test_several_labels_an_image(tmp_path, capsys):
    folder = tmp_path / "run"
    with pytest.raises(ZooError, match="are for one label a row; with several use 0 and null"):
        run(folder, *VIT, "data=marks")
    record = run(folder, *VIT, "data=marks", "data.train_limit=256", "task.label_smoothing=0", "task.mixing=null")
    assert record.task.multilabel and {"test/accuracy", "test/micro_f1"} <= record.metrics.keys()
    assert {path.name for path in (folder / "figures").iterdir()} == {"learning_curves.png", "attention_maps.png"}
    assert (zoo.load(folder).targets, zoo.load(folder).classes) == ("labels", ("even", "small"))
    capsys.readouterr()
    assert main(["predict", str(folder), str(picture(tmp_path)), "--out", str(tmp_path / "a.png")]) == 0
    told = capsys.readouterr().out
    shares = [float(line.split()[-2]) for line in told.splitlines() if line.rstrip().endswith("%")]
    assert len(shares) == 2 and sum(shares) != pytest.approx(100, abs=0.2), "each for itself"


def test_the_regression_of_nodes(tmp_path, capsys):
    """The mean of a node's neighbours: what one layer of attention can be."""
    numbers = np.random.default_rng(0)
    edges = numbers.integers(0, 60, (2, 400))
    x = numbers.normal(size=(60, 4)).astype(np.float32)
    y = np.array([x[edges[0][edges[1] == node]].mean() if (edges[1] == node).any() else 0.0 for node in range(60)])
    np.savez(tmp_path / "graph.npz", x=x, y=y.astype(np.float32), edge_index=edges)
    words = ["model=gat", "data=npz", f"data.path={tmp_path / 'graph.npz'}", "data.numbers=true", "model.dropout=0"]
    record = run(tmp_path / "run", *words, "task=regression")
    assert record.data.spec.targets == "numbers" and record.task.model.num_classes == 1
    assert record.metrics["test/samples"] == 12 and np.isfinite(record.metrics["test/mae"])
    np.savez(tmp_path / "other.npz", x=x, edge_index=edges)
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "other.npz"), "--out", str(tmp_path / "b.png")]) == 0
    told = capsys.readouterr().out
    assert "number  " in told and "nodes of each class" not in told


def test_a_task_for_other_targets_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(ZooError, match="Regression learns from numbers a row, and the data has one class"):
        run(tmp_path / "run", *VIT, "data=digits", "task=regression")
    with pytest.raises(ZooError, match=r"Classification learns from one class .* a row, and the data has numbers"):
        run(tmp_path / "run", *VIT, "data=ink")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_broken_targets_are_named():
    from datamodules.images import ImageArrays

    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ZooError, match=r"image 1 has label nan in column 0, which is not a finite number"):
        ImageArrays(images, [0.5, float("nan"), 1.0], ())
    with pytest.raises(ZooError, match=r"image 2 has label 2.0 in column 1, which is not 0 or 1"):
        ImageArrays(images, [[0, 1], [1, 1], [0, 2]], ("a", "b"))
    with pytest.raises(ZooError, match=r"labels are \[3, 2\] for 3 classes"):
        ImageArrays(images, [[0, 1], [1, 1], [0, 0]], ("a", "b", "c"))
