"""Classification on graphs: of nodes, or of whole graphs; one label, or several at once."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection, SumMetric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MultilabelAccuracy,
    MultilabelF1Score,
)

from zoo.errors import ZooError
from zoo.tasks.task import Task


class GraphClassification(Task):
    """Minimise the cross-entropy between the logits of the rows that count and their labels.

        loss = -mean_r log softmax(model(graph)_r)[label_r]          r a node, or a graph where the model pools
        loss = mean_rc of the binary cross-entropy                   with `multilabel`: each class yes or no

    Args:
        model, optimizer, schedule, layer_decay, grad_checkpointing, compile: see `Task`. The model's `inputs(batch)` says
            what of a batch it reads; its output has a row for each of the batch's labels.
        multilabel: whether a row has several labels (labels [rows, C] of 0 and 1); None: one, or what the data says.

    Shapes: a batch is a PyTorch Geometric `Data` with `labels` [rows] long (or [rows, C] float) and `rows`, a dict from
        "train", "val" and "test" to the indices of the rows that count there.
    Logs: train/loss, train/accuracy, lr; val/ and test/ loss, accuracy and macro_f1 (with `multilabel` micro_f1 and the
        share of right yes-or-nos); test/samples. After a test, `confusion` holds counts [true class, predicted class].
    Raises: ZooError on labels that are not of that kind, or a batch without rows to learn from.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        multilabel: bool | None = None,
        layer_decay: float | None = None,
        grad_checkpointing: bool = False,
        compile: bool = False,
    ):
        own = {"multilabel": bool(multilabel)}
        super().__init__(model, optimizer, schedule, layer_decay, grad_checkpointing, compile, **own)
        reads: Any = self.model
        self.multilabel, self.num_classes = bool(multilabel), int(reads.num_classes)
        if not hasattr(self.model, "inputs"):
            raise ZooError(
                f"{type(self.model).__name__} reads no graphs (it has no inputs(data)); take model=gat, or data of images."
            )
        scores = _scores(self.num_classes, self.multilabel)
        self.val_scores, self.test_scores = MetricCollection(scores), MetricCollection(scores).clone()
        self.test_samples = SumMetric("disable")
        self.test_confusion = (
            None if self.multilabel else MulticlassConfusionMatrix(self.num_classes, validate_args=False)
        )
        self.confusion: Tensor | None = None
        super().train()

    def forward(self, batch: Any) -> Tensor:
        """Logits [rows, classes] of a batch."""
        reads: Any = self.model
        return reads(*reads.inputs(batch))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        logits, labels = self._counted(batch, "train")
        loss = self._losses(logits, labels).mean()
        right = (logits.detach() > 0) == labels.bool() if self.multilabel else logits.detach().argmax(-1) == labels
        self.keep(batch_idx, loss, right.float().mean(), len(labels))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val", self.val_loss, self.val_scores)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        logits, labels = self._evaluate(batch, "test", self.test_loss, self.test_scores)
        self.test_samples.update(len(labels))
        self.log("test/samples", self.test_samples, batch_size=len(labels))
        if self.test_confusion is not None:
            self.test_confusion.update(logits, labels)

    def on_test_epoch_end(self) -> None:
        if self.test_confusion is not None:
            self.confusion = self.test_confusion.compute().cpu()
            self.test_confusion.reset()

    def _counted(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        """Logits and labels of the rows that count at this stage."""
        rows, labels = batch.rows[stage], batch.labels
        if labels.is_floating_point() != self.multilabel:
            kind = "several labels a row, so task.multilabel=true" if labels.ndim == 2 else "class numbers (integers)"
            raise ZooError(f"labels are {labels.dtype} {list(labels.shape)}; the task needs {kind}.")
        logits = self(batch)
        if len(logits) != len(labels):
            raise ZooError(
                f"The model gives {len(logits)} rows for {len(labels)} labels. Labels of whole graphs need a readout "
                "(model.readout=mean), labels of nodes none (model.readout=null)."
            )
        return logits[rows], labels[rows]

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """One a row."""
        if self.multilabel:
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)
        return F.cross_entropy(logits, labels, reduction="none")

    def _evaluate(self, batch: Any, stage: str, loss: Metric, scores: MetricCollection) -> tuple[Tensor, Tensor]:
        logits, labels = self._counted(batch, stage)
        loss.update(self._losses(logits, labels))
        scores.update(logits, labels.long() if self.multilabel else labels)
        self.log(f"{stage}/loss", loss, batch_size=len(labels))
        for name, metric in scores.items():
            self.log(f"{stage}/{name}", metric, batch_size=len(labels), prog_bar=name == "accuracy" and stage == "val")
        return logits, labels


def _scores(classes: int, multilabel: bool) -> dict[str, Metric | MetricCollection]:
    """Accuracy "micro" is the share of all rows, which no batch size can change."""
    if multilabel:
        return {
            "accuracy": MultilabelAccuracy(classes, average="micro", validate_args=False),
            "micro_f1": MultilabelF1Score(classes, average="micro", validate_args=False),
        }
    return {
        "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
        "macro_f1": MulticlassF1Score(classes, average="macro", validate_args=False),
    }
