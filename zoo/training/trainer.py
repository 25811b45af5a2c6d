"""Lightning's Trainer and what watches a training, from the config; and which of its checkpoints is the chosen one."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar

from zoo.callbacks.checkpoint import chooser
from zoo.config import instantiate
from zoo.errors import ZooError
from zoo.training.callbacks import Begin, ExactResume, SameConfig, Stopwatch

log = logging.getLogger(__name__)
EXTRAS = ("wandb", "tensorboard")  # loggers that an extra of pyproject.toml brings


def make_callbacks(
    config: Mapping[str, Any], fingerprint: str, data: Any, stopwatch: Stopwatch, begin: Callable[[], None] | None
) -> list[Callback]:
    """Every run's own callbacks, then those of conf/callbacks.

    Without validation data nothing can be chosen by them: checkpoints that would are left out, so the last weights are
    tested; stopping early is refused (docs/criteria.md, E9).

    Args:
        begin: called on rank 0 once the first batch went through the model; None calls nothing.
    """
    own = [SameConfig(fingerprint), ExactResume(config["seed"]), *([Begin(begin)] if begin else []), stopwatch]
    chosen = make_each("callbacks", config.get("callbacks"))
    if not data.val_size:
        chosen = [callback for callback in chosen if not _needs_validation(callback)]
    if not config["trainer"].get("enable_progress_bar", True):  # Lightning refuses a bar beside that, ours too
        chosen = [callback for callback in chosen if not isinstance(callback, ProgressBar)]
    return own + chosen


def _needs_validation(callback: Callback) -> bool:
    watched = str(getattr(callback, "monitor", ""))
    if not watched.startswith("val/"):
        return False
    if not isinstance(callback, Checkpoint):
        raise ZooError(f"{type(callback).__name__} watches {watched}, but there is no validation data; leave it out.")
    log.info(f"no validation data: nothing is chosen by {watched}, the last weights are tested")
    return True


def make_trainer(config: Mapping[str, Any], callbacks: list[Callback], logger: list[Any]) -> Any:
    """Lightning's Trainer, which sets some of its attributes where no type checker sees them.

    Without a checkpoint callback it would add one of its own.
    """
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    return instantiate(config, callbacks=callbacks, logger=logger or False, enable_checkpointing=saves)


def check_trained(trainer: Trainer) -> None:
    """Refuse to go on as if something had been learned where there was no step to take."""
    if trainer.global_step == 0:
        raise ZooError(
            "Nothing was trained: the trainer took no step (is trainer.max_epochs, max_steps or limit_train_batches 0?). "
            "To test weights as they are: train=false with ckpt_path=<run folder> or init=<weights>."
        )


def best(trainer: Trainer) -> Path | None:
    """The checkpoint chosen on validation data; None (the last weights) where nothing was chosen."""
    path = getattr(chooser(trainer), "best_model_path", None)
    return Path(path) if path else None


def monitored(trainer: Trainer, name: str, metrics: Mapping[str, float]) -> float | None:
    """The monitored metric on validation data: of the chosen epoch, of the last where nothing was chosen, on test data where
    there are no others."""
    of_best = getattr(chooser(trainer), "logged", {})
    return next(
        (found[key] for key in (f"val/{name}", f"test/{name}") for found in (of_best, metrics) if key in found), None
    )


def make_each(group: str, configs: Mapping[str, Any] | None) -> list[Any]:
    """Instantiate the named entries of a group, such as callbacks; an entry set to null is left out."""
    made = []
    for name, config in (configs or {}).items():
        if config is None:
            continue
        try:
            made.append(instantiate(config))
        except (ImportError, ZooError) as error:
            if not isinstance(error.__cause__ or error, ImportError):
                raise
            how = f'pip install -e ".[{name}]"' if name in EXTRAS else f"pip install {name}"
            raise ZooError(f"{group}={name} needs a package that is not installed; {how}") from error
    return made
