"""One mean over an optimizer step, where batches have other numbers of what is averaged: tokens, observed cells (C9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.tasks.totals import Step

if TYPE_CHECKING:
    from zoo.tasks.task import Task as Base
else:
    Base = object

#: What a batch's sum is divided by until the count of the whole step is known; any number would do.
UNIT = 1024


class WholeStep(Base):
    """Beside `Task`: the gradient is that of the mean over all that the step counted, over accumulated batches and processes
    alike, so that of the one big batch whatever its parts.

        class LanguageModelling(WholeStep, Task): ...
    """

    _counted = 0  # since the last optimizer step

    @property
    def _parts(self) -> int:
        """How many batches an optimizer step is made of, over all processes."""
        trainer = self._trainer
        return 1 if trainer is None else trainer.accumulate_grad_batches * trainer.world_size

    def minimised(self, step: Step) -> Tensor:
        """The mean, where a step is one batch; else the sum over UNIT, which `on_before_optimizer_step` makes a mean."""
        if self._parts == 1:
            return step.loss
        self._counted += step.count
        return step.loss * (step.count / UNIT)

    def on_train_start(self) -> None:
        super().on_train_start()
        self._counted = 0

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Lightning has averaged the gradients over the parts; the count of all is known now."""
        if self._parts == 1:
            return
        counted = torch.tensor(float(self._counted), device=self.device)
        total = torch.as_tensor(self.trainer.strategy.reduce(counted, reduce_op="sum")).clamp(min=1)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_mul_(gradients, float(UNIT * self._parts / total))
        self._counted = 0
