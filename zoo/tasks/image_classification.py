"""Image classification: the loss, the metrics, and which parameters learn how fast."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from zoo.errors import ZooError, nearest
from zoo.tasks.optim import build_optimizer
from zoo.tasks.restore import check_fits
from zoo.tasks.schedule import build_schedule

FINETUNE = ("full", "linear_probe")


class ImageClassification(LightningModule):
    """Minimise the cross-entropy between a model's logits and the labels.

        loss = -sum_c t_c log softmax(model(x))_c,    t = (1 - s) onehot(y) + s / C

    with s the label smoothing, C the number of classes; with `mixing`, onehot(y) is the mixture of two labels.
    Validation and test losses are the plain ones (s = 0, nothing mixed), so that they compare between recipes.

    Args:
        model: a config (plain containers with `_target_`) to build it from, or the module itself. Only the config, the
            module's own `model.config` in the second case, goes into the checkpoint's hyper-parameters.
        optimizer: config of a torch optimizer without its parameters, e.g. `{_target_: torch.optim.AdamW, lr: 1e-3}`.
        schedule: config of a learning rate schedule, see `zoo.tasks.schedule`; None keeps the rate constant.
        label_smoothing: s, in [0, 1).
        mixing: config of a batch mixing, see `zoo.tasks.mixing`; None mixes nothing.
        layer_decay: the factor of the learning rate from one layer to the one before it; None is 1.
        finetune: `full`, or `linear_probe`: all but `model.head` frozen and in eval mode (no dropout, no drop path,
            batch norm statistics fixed), so the backbone is bit for bit the same afterwards.
        grad_checkpointing: recompute activations in the backward pass: less memory, about a third more time.
        compile: run the model through torch.compile. In place, so checkpoint names stay those of the plain model.

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
        super().__init__()
        from zoo.config import instantiate, plain

        if finetune not in FINETUNE:
            raise ZooError(f"finetune={finetune!r} is unknown; {nearest(finetune, FINETUNE)}")
        if not isinstance(optimizer, Mapping) or "_target_" not in optimizer:
            raise ZooError(f"task.optimizer={optimizer} has no _target_; name one, such as torch.optim.AdamW.")
        if not 0 <= label_smoothing < 1:
            raise ZooError(f"task.label_smoothing={label_smoothing} is not within [0, 1); 0 smooths nothing.")
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise ZooError(f"task.layer_decay={layer_decay} is not within (0, 1]; null is 1.")
        config = model if isinstance(model, Mapping) else getattr(model, "config", None)
        # Plain containers only: a DictConfig or a module here would make torch's safe loading refuse the checkpoint.
        nodes = {"model": config, "optimizer": optimizer, "schedule": schedule, "mixing": mixing}
        nodes = {key: plain(node) if node is not None else None for key, node in nodes.items()}
        values = {"label_smoothing": label_smoothing, "layer_decay": layer_decay, "finetune": finetune}
        flags = {"grad_checkpointing": grad_checkpointing, "compile": compile}
        self.save_hyperparameters(nodes | values | flags, logger=False)

        self.model = model if isinstance(model, nn.Module) else _build(self.hparams["model"])
        head = getattr(self.model, "head", None)
        if not isinstance(head, nn.Linear):
            raise ZooError(f"The model's head is {head}, no classifier; set num_classes or call reset_classifier(n).")
        self.num_classes = head.out_features
        self.label_smoothing = label_smoothing
        self.mixing = instantiate(self.hparams["mixing"]) if mixing else None
        if finetune == "linear_probe":
            self.model.requires_grad_(False)
            head.requires_grad_(True)
        if grad_checkpointing:
            if not (switch := getattr(self.model, "set_grad_checkpointing", None)):
                kind = type(self.model).__name__
                raise ZooError(f"{kind} has no set_grad_checkpointing(); set task.grad_checkpointing=false.")
            switch(True)
        if compile:
            self.model.compile()

        # MeanMetric's own look for NaN drops them, and waits for the device at each update; zoo.callbacks.nan watches
        # instead. Without it torchmetrics 1.9 ignores weights, so it is given a value a sample, never a batch's mean.
        self.train_loss, self.train_accuracy = MeanMetric("disable"), MeanMetric("disable")
        self.val_loss, self.test_loss = MeanMetric("disable"), MeanMetric("disable")
        # "micro": the share of all samples, and one that no test-time batch size can change.
        self.val_accuracy = MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)
        self.test_accuracy = self.val_accuracy.clone()
        self.test_samples = SumMetric("disable")
        self.test_confusion = MulticlassConfusionMatrix(self.num_classes, validate_args=False)
        self.confusion: Tensor | None = None
        self._steps: list[tuple[Tensor, Tensor, int]] = []  # loss, accuracy, samples of each step of this epoch
        self._resumed: Tensor | None = None  # the same, of the steps before a checkpoint: [processes, steps, 3]
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

    def on_fit_start(self) -> None:
        if next(self.model.parameters()).dtype == torch.float64:
            for metric in (self.train_loss, self.val_loss):
                metric.set_dtype(torch.float64)

    def on_train_start(self) -> None:
        self.train()  # a probe's backbone to eval mode
        if self._resumed is not None:  # within an epoch: it is then not started again
            mine = self._resumed[self.global_rank :: self.trainer.world_size].flatten(0, 1).to(self.device)
            like = next(self.model.parameters()).dtype
            self._steps = [(loss.to(like), accuracy.float(), int(size)) for loss, accuracy, size in mine]
            self._resumed = None

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        if batch_idx == 0:  # Lightning 2.6 calls no on_train_epoch_start after a resume at an epoch's last step
            self._steps.clear()
        images, labels = batch
        targets = labels
        if self.mixing is not None:
            images, targets = self.mixing(images, labels, self.num_classes)
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        # Logging costs more than a small model's whole step, so a step only keeps two numbers, on the device, and the
        # metrics see them once an epoch. With mixing, accuracy is against the label of the image mixed into.
        self._steps.append((loss.detach(), (logits.detach().argmax(-1) == labels).float().mean(), len(labels)))
        return loss

    def on_train_epoch_end(self) -> None:
        if not self._steps:  # resumed where the epoch had been logged already
            return
        losses, accuracies, sizes = zip(*self._steps, strict=True)
        counts = torch.tensor(sizes, device=self.device)
        self.train_loss.update(torch.stack(losses).repeat_interleave(counts))
        self.train_accuracy.update(torch.stack(accuracies).repeat_interleave(counts))
        self.log("train/loss", self.train_loss, prog_bar=True, batch_size=1)
        self.log("train/accuracy", self.train_accuracy, batch_size=1)
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        self.log("lr", rate, batch_size=1, sync_dist=True)
        self._steps.clear()

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

    # ---- optimisation and checkpoints

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = build_optimizer(self.model, self.hparams["optimizer"], self.hparams["layer_decay"])
        if self.hparams["schedule"] is None:
            return {"optimizer": optimizer}
        steps, epochs = self.trainer.estimated_stepping_batches, self.trainer.max_epochs
        scheduler = build_schedule(optimizer, self.hparams["schedule"], steps, epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        plugin = self.trainer.precision_plugin
        # Lightning 2.6 refuses to clip for a fused optimizer under any mixed precision; bfloat16 has no loss scale, so
        # there its reason (gradients still scaled) does not hold and the plain clipping is right.
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._steps:  # within an epoch
            losses, accuracies, sizes = zip(*self._steps, strict=True)
            kind = torch.promote_types(losses[0].dtype, torch.float32)  # holds each of the three exactly
            parts = (torch.stack(losses), torch.stack(accuracies), torch.tensor(sizes, device=self.device))
            steps = torch.stack([part.to(kind) for part in parts], 1).cpu()
            everyone = [steps] * self.trainer.world_size
            if len(everyone) > 1:
                torch.distributed.all_gather_object(everyone, steps)
            checkpoint["train_steps"] = torch.stack(everyone)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_fits(self, checkpoint["state_dict"])
        self._resumed = checkpoint.get("train_steps")


def _build(config: dict[str, Any] | None) -> nn.Module:
    from zoo import build

    if not config:
        raise ZooError("There is no config to build the model from; pass the model itself, as model=...")
    return build(config)
