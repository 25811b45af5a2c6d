"""What every task shares: the model behind its config, the steps of an epoch counted, the optimizer, safe checkpoints."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torchmetrics import MeanMetric

from zoo.errors import ZooError
from zoo.tasks.optim import build_optimizer
from zoo.tasks.restore import check_fits
from zoo.tasks.schedule import build_schedule


class Task(LightningModule):
    """Base class. A subclass defines the steps, calls `keep` in each training step and logs what it validates.

    Args:
        model: a config (plain containers with `_target_`) to build it from, or the module itself. Only the config, the
            module's own `model.config` in the second case, goes into the checkpoint's hyper-parameters (A7, A9).
        optimizer: config of a torch optimizer without its parameters, e.g. `{_target_: torch.optim.AdamW, lr: 1e-3}`.
        schedule: config of a learning rate schedule, see `zoo.tasks.schedule`; None keeps the rate constant.
        layer_decay: the factor of the learning rate from one layer to the one before it; None is 1.
        grad_checkpointing: recompute activations in the backward pass: less memory, about a third more time.
        compile: run the model through torch.compile. In place, so checkpoint names stay those of the plain model.
        more: further settings of the subclass, plain, for the hyper-parameters.

    Logs: train/loss, train/accuracy (means over the epoch's samples), lr (reached at the epoch's end).
    Raises: ZooError on settings out of range, or a checkpoint of another architecture.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        layer_decay: float | None = None,
        grad_checkpointing: bool = False,
        compile: bool = False,
        **more: Any,
    ):
        super().__init__()
        from zoo.config import plain

        if not isinstance(optimizer, Mapping) or "_target_" not in optimizer:
            raise ZooError(f"task.optimizer={optimizer} has no _target_; name one, such as torch.optim.AdamW.")
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise ZooError(f"task.layer_decay={layer_decay} is not within (0, 1]; null is 1.")
        config = model if isinstance(model, Mapping) else getattr(model, "config", None)
        # Plain containers only: a DictConfig or a module here would make torch's safe loading refuse the checkpoint.
        nodes = {"model": config, "optimizer": optimizer, "schedule": schedule} | more
        nodes = {key: plain(node) if isinstance(node, Mapping) else node for key, node in nodes.items()}
        flags = {"layer_decay": layer_decay, "grad_checkpointing": grad_checkpointing, "compile": compile}
        self.save_hyperparameters(nodes | flags, logger=False)

        self.model = model if isinstance(model, nn.Module) else _build(self.hparams["model"])
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
        self._steps: list[tuple[Tensor, Tensor, int]] = []  # loss, accuracy, samples of each step of this epoch
        self._resumed: Tensor | None = None  # the same, of the steps before a checkpoint: [processes, steps, 3]

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

    def keep(self, batch_idx: int, loss: Tensor, accuracy: Tensor, samples: int) -> None:
        """Remember a training step's means over its samples.

        Logging costs more than a small model's whole step, so a step only keeps two numbers, on the device, and the
        metrics see them once an epoch.
        """
        if batch_idx == 0:  # Lightning 2.6 calls no on_train_epoch_start after a resume at an epoch's last step
            self._steps.clear()
        self._steps.append((loss.detach(), accuracy, samples))

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
