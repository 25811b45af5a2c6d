"""Files that are whole or not there."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file so that nobody, not even after a kill, ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def rank() -> int:
    """This process's number among those that train together, known before torch is imported."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):  # torchrun; Lightning's own launcher; srun
        if name in os.environ:
            return int(os.environ[name])
    return 0
