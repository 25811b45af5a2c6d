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
