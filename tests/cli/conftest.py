"""`zoo(...)` runs a verb in this process; `run` is the folder that a small finished run leaves."""

import json
from pathlib import Path

import pytest
import torch

from zoo.cli import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.delenv("ZOO_FULL_ERROR", raising=False)


@pytest.fixture
def zoo(capsys):
    """Run a verb: (exit code, stdout, stderr)."""

    def call(*words) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def refused(zoo):
    """Run a verb that must refuse: exit code 2, nothing on stdout, one `error: ...` line, which is returned."""

    def call(*words) -> str:
        code, out, err = zoo(*words)
        assert code == 2 and not out
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    return call


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """An untrained ViT on digits, as train.py would have left it."""
    from omegaconf import OmegaConf

    import zoo
    from zoo.models import Preprocess

    torch.manual_seed(0)
    model = zoo.create_model("vit_mini_patch2_8", depth=2, reg_tokens=1)
    model.preprocess, model.classes = Preprocess(8, 1, (0.3,), (0.4,)), tuple(f"digit {i}" for i in range(10))
    folder = tmp_path_factory.mktemp("runs") / "a_run"
    zoo.save(model, folder / "model")
    config = {"model": model.config, "data": {"_target_": "datamodules.images.Digits"}, "seed": 3}
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    (folder / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(["seed=3", "model.depth=2"]), folder / ".hydra" / "overrides.yaml")
    summary = {"metrics": {"test/accuracy": 0.125}, "parameters": 99, "seed": 3, "versions": {"torch": "0"}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def graph_run(tmp_path):
    """`graph_run(config of a model, data={...}, task={...})`: the folder of a run of an untrained model of graphs."""
    from omegaconf import OmegaConf

    import zoo

    def made(model: dict, **parts) -> Path:
        folder = tmp_path / "runs" / f"run_{len(list(tmp_path.glob('runs/*')))}"
        model = zoo.build(model)
        model.classes = tuple(f"kind {i}" for i in range(model.num_classes))
        zoo.save(model, folder / "model")
        parts = {"data": {"_target_": "datamodules.graphs.NPZ", "loader": "full"}, "task": {}, **parts}
        OmegaConf.save(OmegaConf.create({"model": model.config, **parts}), folder / "config.yaml")
        return folder

    return made


@pytest.fixture
def own_conf(root, tmp_path, monkeypatch):
    """A copy of conf/ to add to, beside a package that is this one."""
    import shutil

    shutil.copytree(root / "conf", tmp_path / "conf")
    monkeypatch.setattr("zoo.__file__", str(tmp_path / "zoo" / "__init__.py"))
    return tmp_path / "conf"
