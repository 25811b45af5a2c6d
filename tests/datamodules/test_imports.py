"""What reading a set imports."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys, traceback
import lightning.pytorch  # imports torchvision itself where there is one, for its metrics
for name in [name for name in sys.modules if name.startswith("torchvision")]:
    del sys.modules[name]
sys.modules["torchvision"] = sys.modules["timm"] = None  # importing them now fails
found = {}
try:
    from datamodules.images import Digits
    module = Digits()
    module.setup()
    next(iter(module.train_dataloader())), module.test_images(3), module.describe()
except Exception:
    found["digits"] = traceback.format_exc()
import datamodules.graphs
found["graphs"] = "torch_geometric" in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(root):
    """Of a process of its own, for both: most of it is torch's and Lightning's start."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_digits_need_no_image_library(found):
    """They cost seconds to import: the default run asks for none."""
    assert "digits" not in found, found["digits"]


def test_nothing_heavy_is_imported_before_it_is_needed(found):
    """torch_geometric takes seconds."""
    assert not found["graphs"]
