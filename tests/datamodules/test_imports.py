"""What reading a set imports."""

import subprocess
import sys

import pytest

CODE = """
import sys
import lightning.pytorch  # imports torchvision itself where there is one, for its metrics
for name in [name for name in sys.modules if name.startswith("torchvision")]:
    del sys.modules[name]
sys.modules["torchvision"] = sys.modules["timm"] = None  # importing them now fails
import datamodules.graphs
print("torch_geometric" in sys.modules)
from datamodules.images import Digits
module = Digits()
module.setup()
next(iter(module.train_dataloader())), module.test_images(3), module.describe()
"""


@pytest.fixture(scope="module")
def found(root):
    """Of a process of its own, for both: most of it is torch's and Lightning's start."""
    return subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=root)


def test_digits_need_no_image_library(found):
    """They cost seconds to import: the default run asks for none."""
    assert found.returncode == 0, found.stderr


def test_nothing_heavy_is_imported_before_it_is_needed(found):
    """torch_geometric takes seconds."""
    assert "False" in found.stdout.splitlines(), found.stderr
