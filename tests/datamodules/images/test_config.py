"""conf/data: every file builds its set, with the keys they share."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate

from datamodules.images.augment import Augment
from datamodules.images.module import ImageData

CONF = Path(__file__).resolve().parents[3] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml") if "images." in path.read_text())
SHARED = set(inspect.signature(ImageData).parameters)


def config(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        roots = ["seed=5", "paths.data=/somewhere", "paths.cache=/elsewhere"]
        return compose("train", overrides=[f"data={name}", *roots, *overrides]).data


def test_the_sets_are_there():
    assert {"digits", "fashion_mnist", "mnist", "cifar10", "cifar10_jpeg", "imagefolder"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_the_constructors(name):
    """A6: each key is one that the target accepts, and all sets have the shared ones."""
    data = config(name)
    accepted = set(inspect.signature(get_class(data["_target_"])).parameters)
    assert set(data) - {"_target_"} == accepted >= SHARED
    module = instantiate(data, _convert_="all")
    assert isinstance(module, ImageData) and isinstance(module.augment, Augment)
    assert module.seed == 5 and module.split_seed == 0
    assert [str(place) for place in module.search_paths] == ["/somewhere", "/elsewhere"]


@pytest.mark.parametrize("name", NAMES)
def test_header_says_what_it_is(name):
    text = (CONF / "data" / f"{name}.yaml").read_text()
    assert text.startswith("# ") and "icen" in text.split("defaults:")[0]


def test_overrides():
    data = config("digits", "data.augment.randaugment={n:2,m:9}", "data.normalise={mean:[0.5],std:[0.5]}")
    module = instantiate(data, _convert_="all")
    assert module.augment.randaugment == {"n": 2, "m": 9} and module.normalise == {"mean": [0.5], "std": [0.5]}
    assert instantiate(config("digits", "data.augment=null"), _convert_="all").augment is None


def test_digits_need_no_image_library():
    """They cost seconds to import: the default run asks for none."""
    code = """
import sys
import lightning.pytorch  # imports torchvision itself where there is one, for its metrics
for name in [name for name in sys.modules if name.startswith("torchvision")]:
    del sys.modules[name]
sys.modules["torchvision"] = sys.modules["timm"] = None  # importing them now fails
from datamodules.images import Digits
module = Digits()
module.setup()
next(iter(module.train_dataloader())), module.test_images(3), module.describe()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CONF.parent)
    assert done.returncode == 0, done.stderr
