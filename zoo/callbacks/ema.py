"""An exponential moving average of the weights, and nothing of it before it starts."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from zoo.errors import ZooError


class EMA(WeightAveraging):
    """Average the weights over the optimizer steps, from step `start` on.

        a <- w                         at the first averaged step
        a <- d a + (1 - d) w           at each `every`-th one after it,  d = min(decay, (1 + n) / (10 + n)) at the n-th

    The decay grows because the first weights of a training are its worst: with 0.999 from the start they would still be
    a third of the average after a thousand steps. So it reaches back over a ninth of its updates at most.
    Validation, `state_dict` in checkpoints, and the model after training are the average once it has started, the live
    weights before. A checkpoint holds the live weights too, so a resumed run goes on exactly.

    The averaging and the swapping are Lightning's. Two things of 2.6.6 are put right here. An average that has not
    started is the initial weights, which it validated, saved and left in the model (PL#21724). And testing a checkpoint
    in the process that trained it, `trainer.test(ckpt_path=...)`, tested the live weights.

    Args:
        decay: its last value, within [0, 1).
        start: optimizer steps to take before the first average.
        every: optimizer steps between two updates.
    """

    def __init__(self, decay: float = 0.999, start: int = 0, every: int = 1):
        if not 0 <= decay < 1 or start < 0 or every < 1:
            raise ZooError(f"EMA takes decay in [0, 1), start >= 0, every >= 1; got {decay}, {start} and {every}.")
        super().__init__(multi_avg_fn=self._average)
        self.decay, self.start, self.every = decay, start, every

    @property
    def started(self) -> bool:
        """Whether there is an average yet."""
        return self._average_model is not None and int(self._average_model.n_averaged) > 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        # Of the weights' own type: Lightning converts those later (64-true, bf16-true).
        if self._average_model is not None:
            trainer.precision_plugin.convert_module(self._average_model)

    def _average(self, averages: list[Tensor], weights: list[Tensor], n: Tensor) -> None:
        decay = min(self.decay, (1 + int(n)) / (10 + int(n)))
        get_ema_multi_avg_fn(decay)(averages, weights, n)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx >= self.start and (step_idx - self.start) % self.every == 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.started:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.started:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.started:
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.started:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # A checkpoint from before the start holds live weights only, already loaded: the average starts when it starts.
        if trainer.state.fn == TrainerFn.FITTING and "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
