"""Image classification: the loss, the metrics, and which parameters learn how fast."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from zoo.errors import ZooError, nearest
from zoo.tasks.task import Task

FINETUNE = ("full", "linear_probe")


class ImageClassification(Task):
    """Minimise the cross-entropy between a model's logits and the labels.

        loss = -sum_c t_c log softmax(model(x))_c,    t = (1 - s) onehot(y) + s / C

    with s the label smoothing, C the number of classes; with `mixing`, onehot(y) is the mixture of two labels.
    Validation and test losses are the plain ones (s = 0, nothing mixed), so that they compare between recipes.

    Args:
        model, optimizer, schedule, layer_decay, grad_checkpointing, compile: see `Task`.
        label_smoothing: s, in [0, 1).
        mixing: config of a batch mixing, see `zoo.tasks.mixing`; None mixes nothing.
        finetune: `full`, or `linear_probe`: all but `model.head` frozen and in eval mode (no dropout, no drop path,
            batch norm statistics fixed), so the backbone is bit for bit the same afterwards.

    Shapes: images [B, C, H, W] float, labels [B] long, logits [B, classes].
    Logs: train/loss, train/accuracy, lr (reached at the epoch's end), val/loss, val/accuracy, test/loss, test/accuracy,
        test/samples; each once an epoch. After a test, `confusion` holds counts [true class, predicted class].
    Raises: ZooError on an unknown `finetune`, a model without a classifier, or a checkpoint of another architecture.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        mixing: Mapping[str, Any] | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
    ):
        if finetune not in FINETUNE:
            raise ZooError(f"finetune={finetune!r} is unknown; {nearest(finetune, FINETUNE)}")
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"task.label_smoothing={label_smoothing} is not within [0, 1); 0 smooths nothing.")
        own = {"label_smoothing": label_smoothing, "mixing": mixing, "finetune": finetune}
        super().__init__(model, optimizer, schedule, layer_decay, grad_checkpointing, compile, **own)
        from zoo.config import instantiate

        head = getattr(self.model, "head", None)
        if not isinstance(head, nn.Linear):
            raise ZooError(f"The model's head is {head}, no classifier; set num_classes or call reset_classifier(n).")
        self.num_classes = head.out_features
        self.label_smoothing = label_smoothing
        self.mixing = instantiate(self.hparams["mixing"]) if mixing else None
        if finetune == "linear_probe":
            self.model.requires_grad_(False)
            head.requires_grad_(True)

        # "micro": the share of all samples, and one that no test-time batch size can change.
        self.val_accuracy = MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)
        self.test_accuracy = self.val_accuracy.clone()
        self.test_samples = SumMetric("disable")
        self.test_confusion = MulticlassConfusionMatrix(self.num_classes, validate_args=False)
        self.confusion: Tensor | None = None
        super().train()  # a loaded model arrives in eval mode, and Lightning keeps the mode it finds

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.model(images)

    def train(self, mode: bool = True) -> "ImageClassification":
        super().train(mode)
        if self.hparams["finetune"] == "linear_probe":
            self.model.eval()
            self.model.get_submodule("head").train(mode)
        return self

    # ---- training

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        targets = labels
        if self.mixing is not None:
            images, targets = self.mixing(images, labels, self.num_classes)
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        # With mixing, accuracy is against the label of the image mixed into.
        accuracy = (logits.detach().argmax(-1) == labels).float().mean()
        self.keep(batch_idx, loss, accuracy, len(labels))
        return loss

    # ---- evaluation

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        logits, losses, labels = self._evaluate(batch)
        self.val_loss.update(losses)
        self.val_accuracy.update(logits, labels)
        self.log("val/loss", self.val_loss, batch_size=len(labels))
        self.log("val/accuracy", self.val_accuracy, prog_bar=True, batch_size=len(labels))

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        logits, losses, labels = self._evaluate(batch)
        self.test_loss.update(losses)
        self.test_accuracy.update(logits, labels)
        self.test_samples.update(len(labels))
        self.test_confusion.update(logits, labels)
        self.log("test/loss", self.test_loss, batch_size=len(labels))
        self.log("test/accuracy", self.test_accuracy, batch_size=len(labels))
        self.log("test/samples", self.test_samples, batch_size=len(labels))

    def on_test_epoch_end(self) -> None:
        self.confusion = self.test_confusion.compute().cpu()
        self.test_confusion.reset()

    def _evaluate(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        images, labels = batch
        logits = self.model(images)
        return logits, F.cross_entropy(logits, labels, reduction="none"), labels
