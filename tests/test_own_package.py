"""A package of one's own: its classes on the command line, its conf/, and what trust= lets files say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import zoo
from tests.own import package as own_package
from zoo import conf, declared, packages
from zoo.config import locate
from zoo.errors import ZooError
from zoo.tasks.image_classification import ImageClassification

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "__init__.py": "",
    "parts.py": '''
import torch
from dataclasses import dataclass
from torch import nn
from datamodules.images import Digits, ImageArrays
from zoo.attention import Score
from zoo.models.base import ImageModel


class Cosine(Score):
    """cos(q, k)."""

    def pairs(self, q, k, edge=None):
        return torch.cosine_similarity(q, k, dim=-1)


class Linear(ImageModel):
    """A linear map of the pixels."""

    def __init__(self, img_size=8, in_chans=1, num_classes=10, rate=0.5):
        super().__init__()
        self.num_classes = num_classes
        self.rates = [x.item() for x in torch.linspace(0, rate, 3)]  # which needs numbers: no sketch can tell them
        self.head = nn.Linear(in_chans * img_size**2, num_classes)

    def forward(self, x):
        return self.head(x.flatten(1))


@dataclass(kw_only=True, eq=False, repr=False)
class Half(Digits):
    """The first half of the digits."""

    def load(self):
        found = super().load()
        half = len(found.labels) // 2
        return ImageArrays(found.images[:half], found.labels[:half], found.classes)
''',
    "conf/model/mine.yaml": """# A linear map, of my own.
_target_: mypackage.parts.Linear
img_size: null
in_chans: null
num_classes: null
""",
    "conf/score/cosine.yaml": "# @package model.attention.score\n_target_: mypackage.parts.Cosine\n_partial_: true\n",
    "conf/data/half.yaml": "defaults:\n  - digits\n  - _self_\n_target_: mypackage.parts.Half\n",
}  # fmt: skip
SMALL = [
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=2",
    "trainer.accelerator=cpu",
    "callbacks=none",
    "data.batch_size=8",
]
VIT = ["model.dim=8", "model.depth=1", "model.num_heads=2"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package importable, not yet anybody's own."""
    with own_package("mypackage", FILES, tmp_path / "home", monkeypatch) as home:
        yield home


@pytest.fixture
def own(package, monkeypatch):
    """The one documented line."""
    monkeypatch.setenv("ZOO_PACKAGES", "mypackage")
    return package


def trained(folder, *words):
    from zoo.training.run import train
    from zoo.training.summary import save_model

    record = train(conf.compose_train([*SMALL, f"paths.run={folder}", "~logger", *words]), folder)
    save_model(folder, record.task.model, record.metrics, [])
    return record


def test_without_the_line_nothing_is_found(package):
    with pytest.raises(ZooError, match="ZOO_PACKAGES"):
        locate("mypackage.parts.Cosine")
    assert "mine" not in conf.options("model") and "mypackage" not in sys.modules


def test_a_model_data_and_a_score_of_ones_own(own, tmp_path):
    assert {"mine", "vit"} <= conf.options("model").keys() and "A linear map" in conf.comment(
        conf.options("model")["mine"]
    )
    record = trained(tmp_path / "run", "model=mine", "data=half")
    assert type(record.task.model).__name__ == "Linear" and type(record.data).__name__ == "Half"
    record = trained(tmp_path / "vit", "model=vit", *VIT, "score=cosine")
    assert type(record.task.model.blocks[0].attn.score).__module__ == "mypackage.parts"


def test_files_need_the_readers_word(own, tmp_path):
    """Also where the package is one's own: the file's word is not the user's."""
    run = tmp_path / "run"
    record = trained(
        run, "model=mine", "data=half", "callbacks=default", "callbacks.progress=null", "callbacks.figures=null"
    )
    x = torch.randn(2, 1, 8, 8)
    wanted = record.task.model.eval()(x)
    checkpoint = run / "checkpoints" / "best.ckpt"
    assert "trust=['mypackage'])" in (run / "model" / "README.md").read_text()
    for door in (zoo.load, lambda path, **how: zoo.load(checkpoint, **how)):
        with pytest.raises(ZooError, match=r"may not be instantiated from a file.*trust=\['mypackage'\]"):
            door(run)
        assert torch.equal(door(run, trust=["mypackage"])(x), wanted)
    with pytest.raises(ZooError, match="may not be instantiated from a file"):
        ImageClassification.load_from_checkpoint(checkpoint)
    assert torch.equal(
        ImageClassification.load_from_checkpoint(checkpoint, trust=["mypackage"]).model.eval()(x), wanted
    )
    with pytest.raises(ZooError, match="may not be instantiated from a file"):
        trained(tmp_path / "a", "model=mine", f"init={run}")
    record = trained(tmp_path / "b", "model=mine", f"init={run}", "trust=[mypackage]")
    assert record.config["trust"] == ["mypackage"]


def test_the_verbs(own, tmp_path, capsys, monkeypatch):
    from zoo.cli import main

    run = tmp_path / "run"
    trained(run, "model=mine", "data=half", "callbacks=default", "callbacks.progress=null", "callbacks.figures=null")
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["_target_"] == "mypackage.parts.Half"
    monkeypatch.chdir(tmp_path)
    for words in (["info", str(run)], ["predict", str(run), "test:3"]):
        assert main(words) == 2 and "may not be instantiated from a file" in capsys.readouterr().err
    assert main(["predict", str(run), "test:3", "--trust", "mypackage"]) == 0
    assert main(["info", str(run), "--trust", "mypackage"]) == 0 and "mypackage.parts.Linear" in capsys.readouterr().out
    assert main(["list", "model"]) == 0 and "mine" in capsys.readouterr().out


def test_trust_names_packages(package):
    for name, why in {
        "os": "Python's own library", "subprocess": "Python's own", "builtins": "Python's own", "nowhere": "no such package",
        "a b": "not the name of a package", "": "not the name", "../x": "not the name",
    }.items():  # fmt: skip
        with pytest.raises(ZooError, match=why):
            packages.checked([name])
    assert packages.checked("mypackage") == ("mypackage",)


def test_trust_is_for_the_call_and_the_package_alone(package):
    """What a trusted package imports is not trusted with it, nor what has its name for a beginning."""
    assert declared.find("mypackage.parts.Cosine", "model", trust=("mypackage",)).__name__ == "Cosine"
    for name in ("mypackage.parts.torch.load", "mypackage.parts.nn.Linear", "mypackage2.Thing", "os.system"):
        with pytest.raises(ZooError, match="may not be instantiated"):
            declared.find(name, "model", trust=("mypackage",))
    with pytest.raises(ZooError, match="may not be instantiated"):
        declared.find("mypackage.parts.Cosine", "model")


def test_trust_ends_with_the_training(package, tmp_path):
    """What one config of a process names, the next may not."""
    words = ["model=vit", *VIT, "model.attention.score._target_=mypackage.parts.Cosine"]
    record = trained(tmp_path / "a", *words, "trust=[mypackage]")
    assert type(record.task.model.blocks[0].attn.score).__module__ == "mypackage.parts"
    assert packages.own() == ()
    with pytest.raises(ZooError, match="ZOO_PACKAGES"):
        trained(tmp_path / "b", *words)


def test_an_entry_point_is_the_same_line(package, monkeypatch):
    """As an installed package says it in its pyproject.toml."""
    info = package / "mypackage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[attention_zoo.packages]\nmypackage = mypackage\n")
    packages._installed.cache_clear()
    try:
        assert packages.own() == ("mypackage",) and locate("mypackage.parts.Cosine").__name__ == "Cosine"
    finally:
        monkeypatch.undo()
        packages._installed.cache_clear()


def test_the_command_line(own, tmp_path):
    """train.py as an outsider types it."""
    words = ["model=mine", "data=half", *SMALL, f"hydra.run.dir={tmp_path / 'run'}"]
    where = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{own}", "ZOO_PACKAGES": "mypackage"}
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *words], cwd=tmp_path, capture_output=True, text=True, env=where
    )
    assert done.returncode == 0, done.stderr
    assert "Linear" in (tmp_path / "run" / "model" / "README.md").read_text()
    assert "python -m zoo predict run <image> --trust mypackage" in done.stdout
    assert f"\n  ZOO_PACKAGES=mypackage python train.py {words[0]}" in done.stdout, (
        "the next commands can be run as they stand"
    )
