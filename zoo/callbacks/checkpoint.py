"""Checkpoint files: when they are written, under one name, whole or not at all."""

import logging
import math
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from zoo.checked.tensors import check_archive, why
from zoo.errors import ZooError
from zoo.files import replacing

log = logging.getLogger(__name__)


class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint for one file of a fixed name, looked at after each whole epoch.

    With a `monitor`, the file is the best epoch's; of equally good ones the latest, because on a small validation set
    there are many and the first has been trained least (Lightning keeps the first). Without, it is the last epoch's.
    Lightning's `save_last` is not used: it writes only in epochs in which the best one improved.

    Args:
        dirpath, filename: the file is `<dirpath>/<filename>.ckpt`.
        monitor: a logged metric, or None.
        mode: "max" or "min" of it.
        every_seconds: epochs that end sooner than this after the last writing are passed over (never the training's last one):
            where an epoch takes a blink, writing takes a share of the time that shows.
    """

    def __init__(
        self, dirpath: str, filename: str, monitor: str | None = None, mode: str = "min", every_seconds: float = 0.0
    ):
        self.every_seconds, self._written_at = every_seconds, -math.inf
        self.logged: dict[str, float] = {}  # by the epoch that was chosen; and its number, "epoch", from 0
        # After the epoch, not after its validation: a run resumed from here starts the next one, nothing half-done.
        options: dict[str, Any] = {"enable_version_counter": False, "save_on_train_epoch_end": True}
        super().__init__(dirpath, filename, monitor=monitor, mode=mode, **options)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with warnings.catch_warnings():  # a resumed run's folder is not empty, and that is right
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: how good the best epoch was, and no folder of this machine."""
        return self._at(Path("."), super().state_dict()) | {"logged": self.logged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint stood. The best epoch is the file that lies in the folder of today, wherever the run was
        copied or moved to, whatever path the checkpoint names; where it is not there, the best is looked for anew."""
        folder = Path(str(self.dirpath))
        file = folder / f"{self.filename}{self.FILE_EXTENSION}"
        try:
            here = {**self._at(folder, state_dict), "dirpath": self.dirpath}
            scores = [
                *here["best_k_models"].values(),
                here["best_model_score"],
                here["kth_value"],
                here["current_score"],
            ]
            right = all(score is None or (isinstance(score, Tensor) and score.numel() == 1) for score in scores)
            right &= all(isinstance(value, float) for value in here.get("logged", {}).values())
        except (AttributeError, KeyError, TypeError):
            right = False
        if not right:
            raise ZooError("The checkpoint's record of the best epoch cannot be read; go on from another checkpoint.")
        if state_dict["best_model_path"] and not file.is_file():
            if self.monitor is not None:
                log.warning(f"{file} is not there, so the best epoch is looked for anew from here on")
            return
        super().load_state_dict(here)
        self.logged = here.get("logged", {})

    def _at(self, folder: Path, state: dict[str, Any]) -> dict[str, Any]:
        """A state whose files lie in `folder`, under this checkpoint's own name: Lightning deletes what its state names."""
        file = str(folder / f"{self.filename}{self.FILE_EXTENSION}")
        paths = {key: file if value else value for key, value in state.items() if key.endswith("_path")}
        models = dict.fromkeys([file], state["best_model_score"]) if state["best_k_models"] else {}
        return {**state, **paths, "best_k_models": models, "dirpath": str(folder)}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor is not None and not validated(trainer):
            return  # the metrics at hand are those of older weights
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        due = ends or time.monotonic() - self._written_at >= self.every_seconds
        if trainer.strategy.broadcast(due):  # writing is for all processes together, and their clocks differ
            super().on_train_epoch_end(trainer, pl_module)
            self._written_at = time.monotonic()

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        better = super().check_monitor_top_k(trainer, current)
        return self.chosen(trainer, bool(better or (current is not None and self.best_model_score == current)))

    def chosen(self, trainer: Trainer, yes: bool) -> bool:
        """Whether this epoch is the best so far; if so, what it logged is remembered as `logged`."""
        if yes:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self.logged = {**metrics, "epoch": float(trainer.current_epoch)}
        return yes


def validated(trainer: Trainer) -> bool:
    """Whether this epoch ended with a validation (check_val_every_n_epoch)."""
    every = trainer.check_val_every_n_epoch
    return every is None or (trainer.current_epoch + 1) % every == 0


def chooser(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that chooses a checkpoint on validation data; None where nothing is chosen."""
    return next((c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None) is not None), None)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, flush it to the disk, then rename it into place; read it without pickle.

    Lightning 2.6 writes to the system's temporary folder and moves. Where that is another file system, as it often is,
    the move is a copy, and a process killed during it leaves a truncated file where the good one was. It also builds
    the whole file in memory first. A plugin of the trainer: `Trainer(plugins=[AtomicCheckpointIO()])`.

    Raises: ZooError on a file that is missing, truncated or no checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as beside, open(beside, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        path = Path(path)
        if not path.is_file():
            raise ZooError(f"There is no checkpoint {str(path)!r}; give the path of a .ckpt file.")
        try:
            check_archive(path)
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # torch raises a different type for each way in which a file can be broken
            size = path.stat().st_size
            raise ZooError(
                f"The checkpoint {str(path)!r} ({size} bytes) cannot be read: it is truncated, or not written by this "
                f"project ({why(error)}). Use another one, say best.ckpt or last.ckpt of its folder."
            ) from error
