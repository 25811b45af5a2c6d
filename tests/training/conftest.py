"""The real command, kept tiny."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=2",
    "+trainer.enable_progress_bar=false",
    "model.depth=1",
    "model.dim=16",
    "callbacks.figures=null",
)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what belongs to a run or to pytest."""
    left_out = ("HYDRA_FULL_ERROR", "ZOO_FULL_ERROR", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def command(*arguments: str) -> list[str]:
    """The command line of train.py."""
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def train(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
    """Run train.py to its end; its output is in stdout and stderr."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(**variables), capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The folder of one finished run, and what it printed."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    done = train(*TINY, "model.dropout=0.1", f"paths.runs={runs}")
    assert done.returncode == 0, done.stderr
    (folder,) = runs.iterdir()
    return folder, done
