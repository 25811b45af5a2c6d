"""One training of a study: what train.py trains, in this process, without files."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from zoo.config import instantiate
from zoo.errors import ZooError
from zoo.models.fit import check_reads, encodings
from zoo.training.run import train


class Best(Callback):
    """Keeps, in memory, the weights of the epoch of highest validation accuracy (of equals: lowest loss), and stops when
    neither accuracy nor loss has got better for `patience` epochs. `monitor`: the task's, in place of accuracy; `mode`: "min"
    of one of which less is better."""

    def __init__(self, patience: int, monitor: str = "accuracy", mode: str = "max"):
        self.patience, self.waited, self.monitor = patience, 0, monitor
        self.sign = -1 if mode == "min" else 1
        self.accuracy, self.loss = -math.inf, math.inf
        self.chosen: tuple[float, float] = (-math.inf, -math.inf)
        self.epoch, self.weights = -1, dict[str, Tensor]()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        accuracy, loss = (float(trainer.callback_metrics[f"val/{name}"]) for name in (self.monitor, "loss"))
        accuracy *= self.sign
        self.waited = 0 if accuracy > self.accuracy or loss < self.loss else self.waited + 1
        self.accuracy, self.loss = max(accuracy, self.accuracy), min(loss, self.loss)
        if (accuracy, -loss) > self.chosen:
            self.chosen, self.epoch = (accuracy, -loss), trainer.current_epoch
            self.weights = copy.deepcopy(pl_module.state_dict())
        trainer.should_stop = trainer.should_stop or self.waited >= self.patience

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.epoch < 0:
            raise ZooError(
                f"No epoch had a validation {self.monitor}: training ended before the first, or gave NaN from the start."
            )
        self.epochs = trainer.current_epoch
        pl_module.load_state_dict(self.weights)  # what is tested


def load(config: Mapping[str, Any]) -> Any:
    """The data, set up. Raises ZooError where they are not one graph of one kind of node, one label each, with a
    validation part."""
    data = instantiate(config["data"])
    if "graph" not in data.modalities or data.loader != "full":
        raise ZooError("This study is on one full graph; take data=cora or data=digits_knn, and data.loader=full.")
    check_reads(config["model"], data.modalities, type(data).__name__)
    if wanted := encodings(config["model"]):
        data.use_positions(wanted)
    data.prepare_data()
    data.setup()
    if data.source.multi_graph or data.source.target or data.spec.targets != "class" or not data.val_size:
        raise ZooError(
            f"{type(data).__name__} is not one graph of one kind of node, with one label each and a validation part, which "
            "this study needs; take data=cora or data=digits_knn."
        )
    return data


def fit(config: Mapping[str, Any], data: Any, patience: int) -> tuple[Any, dict[str, float]]:
    """Train, go back to the best epoch, test once: (the task in eval mode, figures).

    Args:
        config: of train.py, plain; its callbacks and loggers are left out.
    """
    best = Best(patience, config["task"].get("monitor") or "accuracy")
    settings = {**config, "trainer": {**config["trainer"], "enable_progress_bar": False}}
    record = train(settings, None, data=data, watch=[best])
    figures = {"accuracy": float(record.metrics["test/accuracy"]), "val_accuracy": best.chosen[0], "epoch": best.epoch}
    return record.task.eval(), {**figures, "epochs": best.epochs}


@torch.no_grad()
def nodes_of(model: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """(nodes as the last hidden layer leaves them, logits): the input of the head or, without one, of the last layer.

    Raises: ZooError for a model without `layers`.
    """
    if not hasattr(model, "layers"):
        raise ZooError(
            f"{type(model).__name__} has no layers to be more of; take model=gat, gatv2 or graph_transformer."
        )
    head = getattr(model, "head", None)
    last = model.layers[-1] if head is None else head
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        logits = model.eval().forward(*model.inputs(batch))
    finally:
        hook.remove()
    return seen[0], logits
