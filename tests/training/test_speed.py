"""What a user waits for before anything happens: nothing is imported without need."""

import subprocess

from tests.training.conftest import command, environment


def imported(*arguments):
    """The modules that a command imports."""
    line = command(*arguments)
    line[1:1] = ["-X", "importtime"]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_help_does_not_wait_for_torch():
    """Nor --cfg. How long they take: python -m benchmarks startup."""
    assert not {"torch", "lightning"} & (imported("--help") | imported("--cfg", "job"))


def test_nothing_heavy_is_imported_for_a_debug_run(tmp_path):
    """timm and torch_geometric take seconds each. (torchvision and matplotlib come with lightning's own import.)"""
    modules = imported("debug=fast_dev_run", f"paths.runs={tmp_path}")
    assert "lightning" in modules and not {"timm", "torch_geometric"} & modules


def test_help_lists_the_groups():
    text = subprocess.run(command("--help"), env=environment(), capture_output=True, text=True).stdout
    for group in ("model", "data", "task", "trainer", "callbacks", "logger", "experiment", "debug", "score"):
        assert f"\n{group}: " in text
    assert "install=bash" in text and "-m model.depth=2,4,6" in text
