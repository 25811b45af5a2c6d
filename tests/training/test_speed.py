"""What a user waits for before anything happens, against what cannot be avoided."""

import subprocess
import sys
import time

import pytest

from tests.training.conftest import command, environment


def seconds(*commands, rounds=3):
    """The fastest of some rounds of each command, in turn, so that a busy machine meets all of them."""
    best = [float("inf")] * len(commands)
    for _ in range(rounds):
        for i, arguments in enumerate(commands):
            start = time.perf_counter()
            subprocess.run(
                arguments, check=True, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def test_help_does_not_wait_for_torch():
    bare, helped = seconds([sys.executable, "-c", "import torch"], command("--help"))
    assert helped <= 1.5 * bare


def test_nothing_heavy_is_imported_for_a_debug_run(tmp_path):
    """timm and torch_geometric take seconds each. (torchvision and matplotlib come with lightning's own import.)"""
    arguments = command("debug=fast_dev_run", f"paths.runs={tmp_path}")
    arguments[1:1] = ["-X", "importtime"]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "lightning" in imported
    assert not {"timm", "torch_geometric"} & imported


@pytest.mark.slow
def test_fast_dev_run_is_fast(tmp_path):
    debug = command("trainer.fast_dev_run=true", f"paths.runs={tmp_path}")
    bare, ran = seconds([sys.executable, "-c", "import lightning"], debug)
    assert ran <= 1.5 * bare + 3


def test_help_lists_the_groups():
    text = subprocess.run(command("--help"), env=environment(), capture_output=True, text=True).stdout
    for group in ("model", "data", "task", "trainer", "callbacks", "logger", "experiment", "debug", "score"):
        assert f"\n{group}: " in text
    assert "install=bash" in text and "-m model.depth=2,4,6" in text
