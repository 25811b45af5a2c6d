"""GAT's rule for stopping and choosing: a metric, in the paper accuracy, and the loss together."""

import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from zoo.callbacks.checkpoint import Checkpoint, validated
from zoo.errors import ZooError


class BestOfBoth(Checkpoint):
    """Keep the newest epoch at which validation accuracy and loss are both at their best so far; stop when neither has been
    as good as its best for `patience` validations (epochs, where each is validated).

    Velickovic et al. 2018, section 3.3, in the form of the authors' code.

    Args:
        dirpath, filename: the file is `<dirpath>/<filename>.ckpt`.
        patience: validations.
        accuracy: name of the metric beside the loss.
        loss: name of the loss, which is to be low.
        mode: "max" where the metric is to be high, "min" where it is to be low, as an error is.

    Raises: ZooError for another mode.
    """

    def __init__(
        self,
        dirpath: str,
        filename: str,
        patience: int = 100,
        accuracy: str = "val/accuracy",
        loss: str = "val/loss",
        mode: str = "max",
    ):
        if mode not in ("max", "min"):
            raise ZooError(f"callbacks.best.mode={mode!r} is neither max nor min; say which of {accuracy} is better.")
        super().__init__(dirpath, filename, monitor=loss, mode="min")
        self.patience, self.names, self.sign = patience, (accuracy, loss), 1 if mode == "max" else -1
        self.highest, self.lowest, self.waited = -math.inf, math.inf, 0
        self._both = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not validated(trainer):
            return
        logged = trainer.callback_metrics
        if missing := [name for name in self.names if name not in logged]:
            raise ZooError(
                f"{', '.join(missing)} is not logged, so nothing can be chosen by it; take callbacks=default."
            )
        self.look(*(float(logged[name]) for name in self.names))
        super().on_train_epoch_end(trainer, pl_module)
        if self.waited >= self.patience:
            trainer.should_stop = True

    def look(self, accuracy: float, loss: float) -> None:
        """Take in one validation."""
        accuracy *= self.sign
        better = (accuracy >= self.highest, loss <= self.lowest)
        self._both = all(better)
        self.waited = 0 if any(better) else self.waited + 1
        self.highest, self.lowest = max(accuracy, self.highest), min(loss, self.lowest)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        return self.chosen(trainer, self._both)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the rule."""
        return super().state_dict() | {"highest": self.highest, "lowest": self.lowest, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint stood."""
        super().load_state_dict(state_dict)
        if self.best_model_path or not state_dict["best_model_path"]:  # or all is looked for anew
            vars(self).update({name: state_dict[name] for name in ("highest", "lowest", "waited")})
