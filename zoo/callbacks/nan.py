"""Stop when the loss is not a number any more, before a checkpoint is overwritten by what is left of the model."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from zoo.errors import ZooError


class StopOnNaN(Callback):
    """Raise a ZooError with the step, its learning rate and the last good checkpoint when a loss is NaN or inf.

    Reading a loss waits for the device, so on an accelerator, or where ranks must agree, the losses of `every` batches
    are read together: the step named is exact, the stop comes up to `every` batches later. On one CPU each is read.
    Before validation all are read, and before a checkpoint is written the parameters are looked at too: an update may
    break them while every loss so far was finite. Lightning's EarlyStopping(check_finite=True) looks only after a
    validation, and ends the run as if it had finished.

    Args:
        every: batches between two looks, where looking costs something.
    """

    def __init__(self, every: int = 50):
        self.every = every
        self._seen: list[tuple[int, float, Tensor]] = []  # (optimizer step, its learning rate, loss)
        self._step, self._rate = 0, float("nan")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Here, not at the batch's end: by then the schedule has moved on.
        self._step = trainer.global_step + 1
        self._rate = max(float(group["lr"]) for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if outputs is None:
            return
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._seen.append((self._step, self._rate, loss.detach()))
        cheap = trainer.world_size == 1 and loss.device.type == "cpu"
        if cheap or len(self._seen) >= self.every:
            self._look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)
        healthy = all(bool(p.isfinite().all()) for p in pl_module.parameters())
        if not trainer.strategy.reduce_boolean_decision(healthy, all=True):
            self._stop(trainer, "A parameter became NaN or infinite", self._step, self._rate)

    def _look(self, trainer: Trainer) -> None:
        seen, self._seen = self._seen, []
        if not seen:
            return
        bad = ~torch.stack([loss for _, _, loss in seen]).isfinite()
        # Summed over the ranks: all stop at the same place, or one would raise while the others wait for it.
        counts = torch.as_tensor(trainer.strategy.reduce(bad.int(), reduce_op="sum")).tolist()
        for (step, rate, _), count in zip(seen, counts, strict=True):
            if count:
                self._stop(trainer, "The training loss became NaN or infinite", step, rate)

    def _stop(self, trainer: Trainer, what: str, step: int, rate: float) -> None:
        file = last_checkpoint(trainer)
        kept = f"The last good checkpoint is kept: {file}" if file else "No checkpoint had been written yet"
        raise ZooError(
            f"{what} in step {step}, at learning rate {rate:.3g}. {kept}. Lower task.optimizer.lr, lengthen "
            "task.schedule.warmup or set trainer.gradient_clip_val=1.0; if it is so from the first step on, look for "
            "NaN in the data."
        )


def last_checkpoint(trainer: Trainer) -> Path | None:
    """The newest checkpoint file that this trainer's callbacks have written."""
    writers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    paths = {path for writer in writers for path in (writer.best_model_path, writer.last_model_path) if path}
    files = [Path(path) for path in paths if Path(path).is_file()]
    return max(files, key=lambda file: file.stat().st_mtime, default=None)
