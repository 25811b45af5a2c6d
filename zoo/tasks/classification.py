"""Classification of whatever a model reads: images, nodes, whole graphs; one label a row, or several."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score, MultilabelF1Score

from zoo.config import instantiate
from zoo.errors import ZooError
from zoo.spec import TARGETS, Spec
from zoo.tasks.task import RowMetric, Task
from zoo.tasks.totals import Step, labelled


class Classification(Task):
    """Minimise the cross-entropy between the logits of the rows that count and their labels.

        loss = -mean_r sum_c t_rc log softmax(model(x))_rc,    t_r = (1 - s) onehot(y_r) + s / C
        loss = mean_rc of the binary cross-entropy             with `multilabel`: each class yes or no

    with s the label smoothing, C the number of classes; with `mixing`, onehot(y) is the mixture of two labels. A row is
    an image, a node, or a graph where the model pools. Validation and test losses are the plain ones (s = 0, nothing
    mixed), so that they compare between recipes.

    Args:
        model: see `Task`, as are the arguments after `multilabel`.
        label_smoothing: s, in [0, 1).
        mixing: config of a batch mixing of images, see `zoo.tasks.mixing`; None mixes nothing.
        multilabel: whether a row has several labels (targets [rows, C] float of 0 and 1); None: one, or what the data says.

    Shapes: a batch is (inputs, labels [B] long), or a PyTorch Geometric `Data` with `labels` [rows] long and `rows`, a
        dict from "train", "val" and "test" to the indices of the rows that count there.
    Logs: see `Task`; accuracy and macro_f1, with `multilabel` the share of right yes-or-nos and micro_f1. With mixing no
        train/accuracy: a mixed image has no one label, and against one of the two it reads as failure. After a test
        `confusion` holds counts [true class, predicted class].
    Raises: ZooError on a model without outputs, labels that are not of that kind, or rows that do not match them.
    """

    learns = ("class", "labels")
    monitor, mode = "accuracy", "max"

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        mixing: Mapping[str, Any] | None = None,
        multilabel: bool | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(label_smoothing=label_smoothing, mixing=mixing, multilabel=bool(multilabel))
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"task.label_smoothing={label_smoothing} is not within [0, 1); 0 smooths nothing.")
        if multilabel and (label_smoothing or mixing):
            raise ZooError("task.label_smoothing and task.mixing are for one label a row; with several use 0 and null.")
        if mixing and self.model.reads != ("image",):
            raise ZooError(f"task.mixing mixes images, and {type(self.model).__name__} reads none; set it to null.")
        if not self.model.num_classes:
            raise ZooError("The model's head is not a classifier; set num_classes or call reset_classifier(n).")
        self.num_classes, self.multilabel = self.model.num_classes, bool(multilabel)
        self.label_smoothing = label_smoothing
        self.mixing = instantiate(self.hparams["mixing"]) if mixing else None

    @classmethod
    def complete(cls, config: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
        several, given = spec.targets == "labels", config.get("multilabel")
        if given is not None and given != several:
            said = str(given).lower()
            raise ZooError(f"task.multilabel={said}, but the data has {TARGETS[spec.targets]} a row; leave it out.")
        return {**config, "multilabel": several}

    def step(self, batch: Any, stage: str) -> Step:
        labels, rows = labelled(batch, stage)
        if labels.is_floating_point() != self.multilabel:
            kind = "class numbers (integers)" if self.multilabel is False else "several labels a row"
            raise ZooError(
                f"labels are {labels.dtype} {list(labels.shape)}, and the task is set for {kind}; "
                f"set task.multilabel={str(not self.multilabel).lower()}."
            )
        inputs, targets = self.model.inputs(batch), labels
        if self.mixing is not None and stage == "train":
            images, targets = self.mixing(inputs[0], labels, self.num_classes)
            inputs = (images, *inputs[1:])
        logits = self(*inputs)
        if len(logits) != len(labels):
            raise ZooError(
                f"The model gives {len(logits)} rows for {len(labels)} labels. Labels of whole graphs need a readout "
                "(model.readout=mean), labels of nodes none (model.readout=null)."
            )
        if rows is not None:
            logits, targets = logits[rows], targets[rows]
        return Step(self.loss(logits, targets, stage), len(logits), logits, self._compared(targets))

    def loss(self, logits: Tensor, targets: Tensor, stage: str) -> Tensor:
        """The mean over the rows."""
        if self.multilabel:
            return F.binary_cross_entropy_with_logits(logits, targets)
        smoothing = self.label_smoothing if stage == "train" else 0.0
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)

    def _compared(self, targets: Tensor) -> Tensor | None:
        if self.multilabel:
            return targets.long()
        return None if targets.is_floating_point() else targets  # shares of two labels

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        if self.multilabel:
            return {"accuracy": right_labels, "micro_f1": MicroF1(self.num_classes)}
        found: dict[str, RowMetric | Metric] = {"accuracy": right_class}
        found["macro_f1"] = MulticlassF1Score(self.num_classes, average="macro", validate_args=False)
        if stage == "test":
            found["confusion"] = MulticlassConfusionMatrix(self.num_classes, validate_args=False)
        return found

    @property
    def confusion(self) -> Tensor | None:
        """Counts [true class, predicted class] of the last test; None before it, and where a row has several labels."""
        return self.results.get("confusion")


class MicroF1(MultilabelF1Score):
    """F1 over all yes-or-nos, of logits: torchmetrics takes a batch whose logits all happen to lie in [0, 1] for shares."""

    def __init__(self, num_labels: int):
        super().__init__(num_labels, average="micro", validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update((preds > 0).long(), target)


def right_class(logits: Tensor, labels: Tensor) -> Tensor:
    """[rows]: whether the likeliest class is the true one."""
    return logits.argmax(-1) == labels


def right_labels(logits: Tensor, labels: Tensor) -> Tensor:
    """[rows, C]: whether each yes or no is right."""
    return (logits > 0) == labels.bool()
