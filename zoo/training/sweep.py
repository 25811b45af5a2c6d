"""`-m`: each job is a fresh process of train.py: nothing stays from one to the next, DDP ranks re-run their job only.

Lightning's other ranks repeat this process's command line. With `-m` in it they would run the whole sweep again, and
two ranks could train different jobs as one (docs/criteria.md, A2, A3); a job's own command line has no `-m`.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig

from zoo.conf import quoted
from zoo.errors import ZooError
from zoo.training.folders import ended, summary
from zoo.training.identity import config_hash

log = logging.getLogger(__name__)
# Hydra's settings of the sweep itself, which mean nothing to a job.
SWEEP_ONLY = ("hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher", "hydra.mode", "hydra.run.dir")


def is_sweep() -> bool:
    """Whether this call is one job of a sweep, to be handed to a process of its own."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.get().mode == RunMode.MULTIRUN


def run_job(config: DictConfig) -> float | None:
    """Run one job to its end; returns the number that it monitored, None if it failed. A failure is logged, not raised: the
    others still run, and the table at the end shows it.

    In the folder of an interrupted sweep (`hydra.sweep.dir=`) finished jobs are left alone, unfinished ones go on (A5).
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    started = _hash_in(folder)
    if started is not None and started != config_hash(config):
        raise ZooError(f"{folder} holds another job than number {hydra.job.num} here; choose another hydra.sweep.dir.")
    if summary(folder).exists():
        log.info(f"job {hydra.job.num} is finished already: {folder}")
        return monitored(folder)
    overrides = [o for o in hydra.overrides.hydra if not o.startswith(SWEEP_ONLY)] + list(hydra.overrides.task)
    if (folder / "checkpoints" / "last.ckpt").is_file():
        overrides.append(f"ckpt_path={quoted(folder)}")
    command = [sys.executable, os.path.abspath(sys.argv[0]), "--config-name", str(hydra.job.config_name)]
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            command += ["--config-dir", source.path]
    command += [*overrides, f"hydra.run.dir={quoted(folder)}", f"hydra.job.num={hydra.job.num}"]
    try:
        code = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        sys.exit(f"interrupted; the same command with hydra.sweep.dir={hydra.sweep.dir} goes on where it stopped.")
    if not code:
        ended(folder).touch()
    else:
        log.error(f"job {hydra.job.num} failed with exit code {code}; see {folder / 'train.log'}")
    return monitored(folder)


def monitored(folder: Path) -> float | None:
    """The number in a finished job's summary.json."""
    file = summary(folder)
    return json.loads(file.read_text(encoding="utf-8")).get("monitored") if file.exists() else None


def _hash_in(folder: Path) -> str | None:
    """The hash of the config that training began with in a folder: the first line of its config.yaml."""
    file = folder / "config.yaml"
    if not file.exists():
        return None
    with open(file, encoding="utf-8") as lines:
        return next(lines, "").removeprefix("# config_hash: ").strip()
