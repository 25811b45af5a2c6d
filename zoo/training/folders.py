"""One run = one folder: its name, and what says that it began or ended.

`hydra.run.dir` is `${run_folder:}`, so Hydra itself writes into the folder of a run that is continued.
"""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zoo.errors import ZooError
from zoo.files import write_text
from zoo.training.ranks import rank
from zoo.training.resume import run_to_continue


class Choice:
    """The folder of this process's run. Hydra asks several times, and later without the task's config: the first answer
    stands."""

    folder: str | None = None
    continued: bool = False


def run_folder(*, _root_: DictConfig) -> str:
    """Resolver of `hydra.run.dir`: a new name, or the folder of the run that `ckpt_path` continues."""
    if Choice.folder is None:
        run = run_to_continue(_root_)
        Choice.continued = run is not None
        Choice.folder = str(run or _new_name(_root_))
    return Choice.folder


def hydra_folder(*, _root_: DictConfig) -> str:
    """Resolver of `hydra.output_subdir`: a continued run keeps the config it began with, and the new one beside it."""
    given = any(override.startswith("hydra.run.dir=") for override in _root_.hydra.overrides.hydra)
    if Choice.folder is None and given:
        folder = Path(_root_.hydra.run.dir).absolute()
        Choice.folder, Choice.continued = str(folder), run_to_continue(_root_) == folder
    else:
        run_folder(_root_=_root_)
    return f".hydra/continued_{stamp()}" if Choice.continued else ".hydra"


def summary(folder: Path) -> Path:
    """The file that only a finished run has."""
    return folder / "summary.json"


def ended(folder: Path) -> Path:
    """The file that a sweep leaves for each job that ended well; fast_dev_run leaves no other."""
    return folder / ".hydra" / "ended"


def begin(folder: Path, config: Mapping[str, Any], fingerprint: str) -> None:
    """All that can be refused has been accepted: from here on the folder is a run, and not (yet) a finished one."""
    summary(folder).unlink(missing_ok=True)
    write_config(folder, config, fingerprint)


def write_config(folder: Path, config: Mapping[str, Any], fingerprint: str) -> None:
    """config.yaml: resolved and plain, the model's nulls filled; its first line is the hash that a sweep looks at."""
    text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
    write_text(folder / "config.yaml", f"# config_hash: {fingerprint}\n{text}")


def begun(folder: Path) -> bool:
    """Whether training (or a test) took place: config.yaml is written with the first step."""
    return (folder / "config.yaml").exists()


@cache
def stamp() -> str:
    """When this process began."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


@cache
def token() -> str:
    """What tells two runs of the same second apart."""
    return secrets.token_hex(4)


def register() -> None:
    """Make the resolvers known that conf/ uses."""
    resolvers: dict[str, Callable[..., str]] = {
        "run_folder": run_folder,
        "hydra_folder": hydra_folder,
        "token": token,
        "rank_zero": lambda path: path if rank() == 0 else os.devnull,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _new_name(config: DictConfig) -> Path:
    if "TORCHELASTIC_RUN_ID" in os.environ:  # under torchrun each rank would make up its own
        raise ZooError(
            "Under torchrun the ranks must be told their common folder: add hydra.run.dir=runs/<name>, "
            "or start with python train.py trainer=ddp trainer.devices=2 alone."
        )
    choices = config.hydra.runtime.choices
    return Path(config.paths.runs).absolute() / f"{stamp()}_{choices.get('model')}_{choices.get('data')}_{token()}"
