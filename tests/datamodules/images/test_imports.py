"""What reading a set imports."""

import subprocess
import sys


def test_digits_need_no_image_library(root):
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
