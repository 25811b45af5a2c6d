"""The callbacks that every training has, whatever conf/callbacks says: they make a run repeatable and accountable."""

import logging
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from zoo.errors import ZooError

log = logging.getLogger(__name__)


class ExactResume(Callback):
    """Make a resumed run, also one resumed within an epoch, see and draw what the uninterrupted one did (A11).

    Each step's random numbers depend on (seed, epoch, batch, rank) alone: so no random state has to be kept in the
    checkpoint, where Lightning would keep that of rank 0 only. The loader's place in the epoch is handed on by hand: a
    schedule that asks for `trainer.estimated_stepping_batches` makes Lightning 2.6 set up the loader before the
    checkpoint is read, and then forget the loader's state in it.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._loader_states: list[dict[str, Any]] = []

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._loader_states = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path:
            epoch, step = trainer.current_epoch + 1, trainer.global_step
            log.info(f"goes on from {trainer.ckpt_path}: epoch {epoch} of {trainer.max_epochs}, after {step:,} steps")
        load = getattr(trainer.train_dataloader, "load_state_dict", None)
        if self._loader_states and load:
            load(self._loader_states[0])
        self._seed(trainer)  # resumed within an epoch, on_train_epoch_start is not called

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._seed(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer)  # within an epoch: validation may have drawn numbers

    def _seed(self, trainer: Trainer) -> None:
        batch = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        key = (self.seed, trainer.current_epoch, batch, trainer.global_rank)
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        # torch.manual_seed would queue a call with a stack trace for a GPU not yet in use: 2 ms a step, and it adds up
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed)
        random.seed(seed)


class SameConfig(Callback):
    """Stop before training if the processes of one run were given different configs (docs/criteria.md, A2).

    Lightning would train them as one: the gradients of different models or data, averaged, exit code 0.
    """

    def __init__(self, fingerprint: str):
        self.fingerprint = fingerprint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        found: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(found, self.fingerprint)
        if len(set(found)) > 1:  # all of them raise, or some would wait for the others forever
            raise ZooError(
                f"The {trainer.world_size} processes have different configs (hashes by rank: {', '.join(found)}); "
                "give each the same command line. For a sweep use train.py's own -m, one group of processes a job."
            )


class Begin(Callback):
    """Call a function on rank 0 once the first batch went through the model.

    Everything has been built and loaded then, and a kernel that cannot compute what was asked for has said so.
    """

    def __init__(self, function: Callable[[], None]):
        self.function = function
        self._begun = False

    def on_before_backward(self, trainer: Any, pl_module: LightningModule, loss: Tensor) -> None:
        if not self._begun and trainer.is_global_zero and not trainer.fast_dev_run:
            self.function()
        self._begun = True


class Stopwatch(Callback):
    """Seconds of fitting, and samples per second of training without validation; goes on where a resumed run stood."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.fit_seconds = self.train_seconds = 0.0
        self.samples = 0
        self.begun = False  # whether this process has taken a step, or tested a batch
        self._fit_start = self._train_start = time.perf_counter()

    @property
    def samples_per_second(self) -> float:
        """Training samples of all processes per second of training."""
        return self.samples / self.train_seconds if self.train_seconds else 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stage = stage

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._fit_start = time.perf_counter() - self.fit_seconds
        self._train_start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self.samples += self.batch_size
        self.begun = True

    def on_test_batch_start(self, *args: Any) -> None:
        self.begun = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.train_seconds += time.perf_counter() - self._train_start

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._train_start = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.train_seconds += time.perf_counter() - self._train_start
        self.fit_seconds = time.perf_counter() - self._fit_start

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps of it."""
        now = time.perf_counter()
        return {
            "fit_seconds": now - self._fit_start,
            "train_seconds": self.train_seconds + now - self._train_start,
            "samples": self.samples,
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint; one that is loaded to be tested is of an earlier epoch."""
        known = self.state_dict()
        if state.keys() != known.keys() or not all(type(value) in (int, float) for value in state.values()):
            raise ZooError(f"The checkpoint's times are not {', '.join(known)}; go on from another checkpoint.")
        if self._stage == "fit":
            vars(self).update(state)
