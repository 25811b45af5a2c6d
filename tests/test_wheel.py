"""The wheel works without a checkout: conf/ travels in it and is found there."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """A folder with what the wheel of the files under version control holds."""
    place = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if name.startswith(("zoo/", "datamodules/", "conf/")) or "/" not in name:
            (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, place / "source" / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        place,
        ".",
    ]
    subprocess.run(command, cwd=place / "source", check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    return place / "site"


@pytest.mark.slow
def test_conf_is_in_the_wheel_and_found_there(installed, root, tmp_path):
    found = {
        path.relative_to(installed / "zoo" / "configs") for path in (installed / "zoo" / "configs").rglob("*.yaml")
    }
    assert found == {path.relative_to(root / "conf") for path in (root / "conf").rglob("*.yaml")}
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = """
import zoo, sys
from zoo.cli import main
from zoo.conf import compose_train
from zoo.training.run import train
assert zoo.__file__.startswith(sys.argv[1])
assert main(["list"]) == 0
quick = ["model=gat", "trainer.max_epochs=1", "callbacks=none", "~logger", "+trainer.enable_progress_bar=false"]
print(train(compose_train(quick), None).metrics["test/samples"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, installed], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "  vit " in done.stdout and "  cora " in done.stdout and done.stdout.splitlines()[-1] == "1097.0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_shipped_models_work_from_the_wheel(installed, root, tmp_path):
    """Outside the checkout: list pretrained, info, load, predict on an own input, check, export; nothing is fetched."""
    from PIL import Image

    Image.new("L", (8, 8), 255).save(tmp_path / "mine.png")
    names = {path.name for path in (root / "zoo" / "shipped").iterdir() if path.is_dir()}
    assert names <= {path.name for path in (installed / "zoo" / "shipped").iterdir()} and len(names) >= 14
    environment = {**os.environ, "PYTHONPATH": str(installed), "ZOO_OFFLINE": "1", "ZOO_CACHE": str(tmp_path / "cache")}
    environment.pop("ZOO_INDEX", None)
    code = """
import sys, zoo
from zoo.cli import main
assert zoo.__file__.startswith(sys.argv[1])
assert main(["list", "pretrained"]) == 0
assert main(["info", "vit.digits"]) == 0
assert sorted(zoo.list_pretrained()) == sorted(sys.argv[2:])
assert zoo.info("gat.cora")["metric"]["value"] > 0.8 and not zoo.load("gat.cora").training
assert main(["predict", "vit.digits", "mine.png", "--to", "said.csv"]) == 0
assert main(["check", "vit.digits"]) == 0  # scikit-learn has its data
assert main(["check", "--all", "--probe"]) == 0
assert main(["export", "vit.digits", "--to", "torch_export", "--out", "vit.pt2"]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, installed, *names],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert (tmp_path / "said.csv").read_text().startswith("input,class,probability") and (
        tmp_path / "vit.pt2"
    ).is_file()
