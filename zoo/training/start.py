"""How a run's folder is entered and left: by one process, and nothing stays of a run that never began."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from zoo.conf import quoted
from zoo.errors import ZooError
from zoo.training import lock
from zoo.training.folders import Choice, begun, summary
from zoo.training.ranks import rank
from zoo.training.sentences import sentences
from zoo.training.summary import command

# What may stand in a folder of the user's whose run has not begun: written by Hydra or a logger before the first step.
EARLY = (".hydra", "train.log", "checkpoints", "tensorboard", "wandb")
_made: list[Path] = []  # folders that were not there before this run, the innermost first


class Claim(Callback):
    """Hydra's callback that takes the run's folder before Hydra writes into it, or ends the process with a sentence."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with sentences():
            claim(Path(config.hydra.run.dir).absolute())


def claim(folder: Path) -> None:
    """Lock the folder for this process.

    Raises: ZooError if another process is in it, or it holds a run that is not the one to be continued.
    """
    if rank():
        return
    _made[:] = [path for path in (folder, *folder.parents) if not path.exists()]
    if not Choice.continued and (any(folder.glob("checkpoints/*.ckpt")) or summary(folder).exists()):
        raise ZooError(f"{folder} holds a run already; continue it with ckpt_path={folder}, or name another folder.")
    lock.acquire(folder)


@contextmanager
def this_run() -> Iterator[Path]:
    """The run's folder. If the block fails before training began, what this process put there is removed again.

    Raises: KeyboardInterrupt, with the sentence that says how to go on, where the user or the system stopped training.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    try:
        yield folder
    except BaseException as error:
        if rank() == 0:
            alone = OmegaConf.is_missing(hydra.job, "num")
            if alone:  # a sweep's job keeps its folder: the table at the end points to its log
                leave(folder, hydra.output_subdir)
            if _interrupted(error):
                raise KeyboardInterrupt(how_to_go_on(folder, hydra.overrides.task) if alone else "") from None
        raise
    finally:
        lock.release(folder)


def leave(folder: Path, output_subdir: str | None) -> None:
    """Remove what a start that failed put into the folder, and the folders that it made."""
    if Choice.continued:
        shutil.rmtree(folder / (output_subdir or ".hydra/none"), ignore_errors=True)
    elif not begun(folder):
        for name in (*EARLY, lock.NAME):
            path = folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        if folder in _made:
            shutil.rmtree(folder, ignore_errors=True)
        for path in _made:
            with suppress(OSError):  # not empty: whatever else is there is not ours
                path.rmdir()


def how_to_go_on(folder: Path, overrides: list[str]) -> str:
    """The command that continues an interrupted run, as a sentence."""
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return "there is no checkpoint yet, so the same command starts anew."
    words = [*(word for word in overrides if not word.startswith("ckpt_path=")), f"ckpt_path={quoted(folder)}"]
    return f"this goes on from the last checkpoint:\n    {command(words)}"


def _interrupted(error: BaseException) -> bool:
    """Whether it was Ctrl+C or SIGTERM: Lightning makes a SystemExit of either."""
    stopped = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
    return stopped or type(error).__name__ == "SIGTERMException"
