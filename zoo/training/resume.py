"""Which run `ckpt_path=` means, and which of its checkpoints."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from zoo.checked.texts import read_yaml
from zoo.errors import ZooError, one_line
from zoo.training.identity import config_hash, essence, flatten

if TYPE_CHECKING:
    from zoo.training.callbacks import Stopwatch

SHOWN = 8


def run_to_continue(config: DictConfig) -> Path | None:
    """The folder of the run whose training `ckpt_path` continues; None where a new one begins."""
    if config.ckpt_path is None or not config.train:
        return None
    if config.ckpt_path == "last":
        return newest_unfinished(config)
    path = Path(config.ckpt_path).absolute()
    folder = path if path.is_dir() else path.parent.parent
    return folder if (folder / ".hydra").is_dir() else None


def checkpoint(ckpt_path: str | None, train: bool, folder: Path | None) -> Path | None:
    """The file to load: a run's last state to train on from, its best one to test.

    Args:
        ckpt_path: as the user gave it: None, `last`, a run folder or a file.
        folder: of this run, which is the continued one after `last`.
    Raises: ZooError if there is no such file.
    """
    if ckpt_path is None:
        return None
    if ckpt_path == "last" and not train:
        raise ZooError("ckpt_path=last continues a training; with train=false name the run: ckpt_path=<run folder>.")
    path = folder if ckpt_path == "last" and folder is not None else Path(ckpt_path).absolute()
    if path.is_file():
        return path
    kept = path / "checkpoints"
    for name in ("last.ckpt",) if train else ("best.ckpt", "last.ckpt"):
        if (kept / name).is_file():
            return kept / name
    found = ", ".join(sorted(file.name for file in kept.glob("*.ckpt"))) or "no checkpoint"
    what = f"has {found} in {kept}" if path.is_dir() else "is neither a file nor a folder"
    raise ZooError(f"ckpt_path={ckpt_path} {what}; give a run folder, a .ckpt file, or last.")


def left_open(model: Mapping[str, Any], decided: Container[str], checkpoint: Path) -> dict[str, float]:
    """Sizes that a config leaves open, as the checkpoint's run decided them: defaults may have changed since (a ViT's patch).

    Args:
        model: its config.
        decided: keys that the data decides.
        checkpoint: in a run's folder, whose config.yaml is read.

    Returns: numbers alone: a file says nothing else about what is built; whether they can be: `zoo.training.weights`.
    """
    file = config_of(checkpoint)
    content = read_yaml(file) if file.is_file() else None
    theirs = content.get("model") if isinstance(content, dict) else None
    kinds = [str(node.get("_target_")).rpartition(".")[2] for node in (theirs, model) if isinstance(node, Mapping)]
    if len(set(kinds)) > 1 or not isinstance(theirs, dict):  # by the class's name: its module may have moved
        return {}
    found = {key: theirs.get(key) for key, value in model.items() if value is None and key not in decided}
    return {
        key: value for key, value in found.items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def config_of(checkpoint: Path) -> Path:
    """The config.yaml of the run that a checkpoint lies in."""
    return checkpoint.parent.parent / "config.yaml"


@contextmanager
def restoring(path: Path | None, stopwatch: Stopwatch) -> Iterator[None]:
    """Around a training that goes on from a checkpoint, or its test: states of optimizer, schedule, loops and callbacks are a
    file's.

    Raises: ZooError in place of whatever torch or Lightning raise at them, until the first step is taken or batch tested.
    """
    try:
        yield
    except Exception as error:  # torch and Lightning have no error of their own for a wrong state
        if path is None or stopwatch.begun or isinstance(error, ZooError):
            raise
        raise ZooError(
            f"Neither training nor test can go on from {path}: it holds other states than those of this training "
            f"({type(error).__name__}: {one_line(error)}; HYDRA_FULL_ERROR=1 shows where)."
        ) from error


def newest_unfinished(config: DictConfig) -> Path:
    """The run of the same config that was last written to among those without a summary.json.

    Raises: ZooError that lists the runs there are, and why each of them is not meant.
    """
    runs = Path(config.paths.runs).absolute()
    folders = [folder.parent for folder in runs.glob("*/.hydra")]
    folders.sort(key=lambda folder: _time(folder), reverse=True)
    reasons = {}
    for folder in folders:
        reasons[folder] = _why_not(folder, config)
        if reasons[folder] is None:
            return folder
    lines = [f"{folder.name}: {why}" for folder, why in reasons.items()]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    found = "; ".join(lines[:SHOWN] + more) or "there are no runs"
    raise ZooError(
        f"ckpt_path=last finds no unfinished run of this config in {runs} ({found}). "
        "Name one with ckpt_path=<run folder>, or leave ckpt_path out to start anew."
    )


def _why_not(folder: Path, config: DictConfig) -> str | None:
    if (folder / "summary.json").exists():
        return "finished"
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return "has no checkpoint yet"
    configs = list(folder.glob(".hydra/**/config.yaml"))  # the first, and those it was continued with
    if not configs:
        return "has no config"
    try:
        configs.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        theirs = [OmegaConf.create(read_yaml(path)) for path in configs]
        if config_hash(_task_part(config)) in map(config_hash, theirs):
            return None
        return _difference(essence(theirs[0]), essence(_task_part(config)))
    except ZooError as error:
        return str(error)


def _difference(theirs: dict, ours: dict) -> str:
    theirs, ours = flatten(theirs), flatten(ours)
    differ = [key for key in sorted(theirs.keys() | ours.keys()) if theirs.get(key) != ours.get(key)]
    named = [f"{key} is {theirs.get(key, 'not there')}, here {ours.get(key, 'not there')}" for key in differ[:3]]
    return ", ".join(named) + (f" and {len(differ) - 3} more" if len(differ) > 3 else "")


def _task_part(config: DictConfig) -> DictConfig:
    """The config without Hydra's own branch, which is there only while Hydra composes."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _time(folder: Path) -> float:
    last = folder / "checkpoints" / "last.ckpt"
    return (last if last.exists() else folder).stat().st_mtime
