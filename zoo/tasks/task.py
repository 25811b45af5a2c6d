"""What every task shares: the loops, means over an epoch, the monitored metric, fine-tuning, safe checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import Metric, MetricCollection

from zoo.checked.fits import check_fits, named_today
from zoo.config import plain
from zoo.errors import ZooError, nearest
from zoo.models.base import Model
from zoo.models.factory import build_model
from zoo.models.fit import tokenizers_of
from zoo.spec import TARGETS, Spec
from zoo.tasks import finetune as finetuning
from zoo.tasks.optim import build_optimizer
from zoo.tasks.schedule import build_schedule
from zoo.tasks.tokenizers import check_tokenizers
from zoo.tasks.totals import Step, Totals, read_totals, wide

STAGES = ("train", "val", "test")
SAMPLES = "samples"  # of the totals: no mean, but how many there were
#: (outputs [count, ...], targets [count, ...]) -> a value a row [count]
RowMetric = Callable[[Tensor, Tensor], Tensor]


class Task(LightningModule):
    """Base class. A subclass gives a step and its metrics; the loops, the means and the logging are here.

        class Regression(Task):
            monitor, mode = "mae", "min"

            def step(self, batch, stage):
                outputs, targets = self(*self.model.inputs(batch)).squeeze(-1), batch[1]
                return Step(F.mse_loss(outputs, targets), len(targets), outputs, targets)

            def metrics(self, stage):
                return {"mae": lambda outputs, targets: (outputs - targets).abs()}

    Every mean is over the epoch's rows, whatever the batches, the number of processes, and whether the run was resumed.

    Args:
        model: a config (plain containers with `_target_`) to build it from, or the model itself. Only the config, the
            model's own `model.config` in the second case, goes into the checkpoint's hyper-parameters (A7, A9).
        optimizer: config of a torch optimizer without its parameters, e.g. `{_target_: torch.optim.AdamW, lr: 1e-3}`.
        schedule: config of a learning rate schedule, see `zoo.tasks.schedule`; None keeps the rate constant.
        layer_decay: the factor of the learning rate from one layer to the one before it; None is 1.
        finetune: `full`, or `linear_probe`: all frozen and in eval mode (no dropout, no drop path, batch norm statistics
            fixed) but the model's linear head and the parts that `init=` started anew, as the maps of other channels, so the
            backbone is bit for bit the same afterwards; or `lora`,
            `bottleneck`: the adapter that the model has (`zoo.adapt`; else one of the usual settings) beside a backbone that
            is frozen, and of which a checkpoint then holds name and hash alone, where it is known where it lies.
        grad_checkpointing: recompute activations in the backward pass: less memory, about a third more time.
        compile: run the model through torch.compile. In place, so checkpoint names stay those of the plain model.
        monitor: what checkpoints, curves and reports go by: "loss" or one of the metrics; None: the task's usual one.
        mode: "max" or "min" of it; None: the task's usual one.

    Logs: train/, val/ and test/ loss and metrics, test/samples (rows), lr (reached at the epoch's end); each once an
        epoch. What a metric gives that is not a number (a confusion matrix) is in `results` after a test, by name; what a task
        of texts said for each row in `predictions`; how a metric of several definitions was counted in `signatures`.
    Raises: ZooError on settings out of range, a linear probe of a model without a linear head, or a checkpoint of
        another architecture.
    """

    #: Kinds of targets (`zoo.spec.TARGETS`) that it learns from.
    learns: ClassVar[tuple[str, ...]] = tuple(TARGETS)

    #: What is counted: `test/samples` is logged.
    counted: ClassVar[str] = "samples"
    #: Whether what is tested are forecasts, which stand beside those of naive ones.
    forecasts: ClassVar[bool] = False
    #: Means that a step brings itself (`Step.means`), by name.
    means: tuple[str, ...] = ()

    monitor: str = "loss"
    mode: str = "min"
    model: Model

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        super().__init__()
        if not isinstance(optimizer, Mapping) or "_target_" not in optimizer:
            raise ZooError(f"task.optimizer={optimizer} has no _target_; name one, such as torch.optim.AdamW.")
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise ZooError(f"task.layer_decay={layer_decay} is not within (0, 1]; null is 1.")
        finetuning.check(finetune)
        config = model.config if isinstance(model, Model) else model if isinstance(model, Mapping) else None
        self.remember(model=config, optimizer=optimizer, schedule=schedule, layer_decay=layer_decay, finetune=finetune)
        self.remember(grad_checkpointing=grad_checkpointing, compile=compile, monitor=monitor, mode=mode)

        self.model = _model(model, self.hparams["model"])
        finetuning.prepare(self.model, finetune)
        self._base: finetuning.Base | None = None  # of its adapter
        if grad_checkpointing:
            self.model.set_grad_checkpointing(True)
        if compile:
            self.model.compile()
        self.monitor, self.mode = monitor or self.monitor, mode or self.mode
        if self.mode not in ("min", "max"):
            raise ZooError(f"task.mode={self.mode!r} is neither min nor max; say which of task.monitor is better.")
        self.totals = {stage: Totals() for stage in STAGES}
        self.results: dict[str, Tensor] = {}
        self.predictions: list[dict[str, Any]] = []
        self.signatures: dict[str, str] = {}
        self._rows: dict[str, dict[str, RowMetric]] = {}
        self._others = nn.ModuleDict()
        self._resumed: tuple[list[str], Tensor] | None = None  # the interrupted epoch's totals, a row a process
        super().train()  # a loaded model arrives in eval mode, and Lightning keeps the mode it finds

    def remember(self, **settings: Any) -> None:
        """Keep settings, mappings as plain containers, as hyper-parameters: they build the task again (A7).

        A DictConfig or a module among them would make torch's safe loading refuse the checkpoint.
        """
        nodes = {key: plain(node) if isinstance(node, Mapping) else node for key, node in settings.items()}
        self.save_hyperparameters(nodes, logger=False)

    # ---- what a task says

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        """How many numbers a model must give for each row of such data. Raises: ZooError for targets of another kind."""
        if spec.targets not in cls.learns:
            wanted, there = " or ".join(TARGETS[kind] for kind in cls.learns), TARGETS[spec.targets]
            raise ZooError(f"{cls.__name__} learns from {wanted} a row, and the data has {there}; take another task=.")
        return len(spec.classes) or spec.num_targets

    @classmethod
    def complete(cls, config: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
        """The task's own config with what the data decides in place of nulls."""
        return dict(config)

    @classmethod
    def of_model(cls, model: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
        """The model's config as this task (of config `task`) trains it. Raises: ZooError for one that it cannot train."""
        return dict(model)

    def step(self, batch: Any, stage: str) -> Step:
        """One batch through the model, at "train", "val" or "test"."""
        raise NotImplementedError(f"{type(self).__name__} has no step(batch, stage)")

    def metrics(self, stage: str) -> Mapping[str, RowMetric | Metric]:
        """Metrics by name: a function (outputs, targets) -> a value a row, whose mean is logged; or what is no mean over
        rows, a torchmetrics Metric. In training functions alone, so that a step costs a few additions."""
        return {}

    def derived(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What is logged besides, of the means over an epoch."""
        return {}

    def minimised(self, step: Step) -> Tensor:
        """What a training step minimises; Lightning averages it over accumulated batches and over processes."""
        return step.loss

    def forward(self, *inputs: Any, **how: Any) -> Tensor:
        """What the model gives for its inputs."""
        return self.model(*inputs, **how)

    # ---- loops

    def setup(self, stage: str) -> None:
        """Sort the metrics into means over rows and others, once, and look for the monitored one."""
        if self._rows:
            return
        for each in STAGES:
            found = self.metrics(each)
            others = {name: metric for name, metric in found.items() if isinstance(metric, Metric)}
            self._rows[each] = {name: metric for name, metric in found.items() if not isinstance(metric, Metric)}
            self._others[f"{each}_metrics"] = MetricCollection({**others} if each != "train" else {})
            if each == "val" and self.monitor not in (known := ["loss", *found, *self.means]):
                raise ZooError(f"task.monitor={self.monitor} is not measured; {nearest(self.monitor, known)}")

    def train(self, mode: bool = True) -> "Task":
        super().train(mode)
        finetuning.set_modes(self.model, self.hparams["finetune"], mode)
        return self

    def on_fit_start(self) -> None:
        if next(self.model.parameters()).dtype == torch.float64:
            for stage in STAGES:
                self._whole(stage).set_dtype(torch.float64)

    def on_train_start(self) -> None:
        self.train()  # a probe's backbone to eval mode
        if self._resumed is not None:  # within an epoch: it is then not started again
            names, states = self._resumed
            mine = states[self.global_rank :: self.trainer.world_size].sum(0)
            self.totals["train"].load(names, mine, self.device)
            self._resumed = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if batch_idx == 0:  # Lightning 2.6 calls no on_train_epoch_start after a resume at an epoch's last step
            self.totals["train"].clear()
        return self.minimised(self._measure(batch, "train"))

    def on_train_epoch_end(self) -> None:
        if self.totals["train"].counts:  # else resumed where the epoch had been logged already
            self._log("train")
            rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
            self.log("lr", rate, batch_size=1, sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        self.totals["val"].clear()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(batch, "val")

    def on_validation_epoch_end(self) -> None:
        self._log("val")

    def on_test_epoch_start(self) -> None:
        self.totals["test"].clear()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._measure(batch, "test")

    def on_test_epoch_end(self) -> None:
        self._log("test")

    def _whole(self, stage: str) -> MetricCollection:
        """Metrics that are not means over rows; none in training."""
        return cast(MetricCollection, self._others[f"{stage}_metrics"])

    def _names(self, stage: str) -> list[str]:
        return ["loss", *self._rows[stage], *self.means, *[SAMPLES] * (stage == "test")]

    def _measure(self, batch: Any, stage: str) -> Step:
        """The step, added to the epoch's totals."""
        self.setup(stage)
        step, totals = self.step(batch, stage), self.totals[stage]
        totals.add("loss", step.loss, step.count, step.count)
        if stage == "test":
            totals.add(SAMPLES, step.loss, step.count if step.samples is None else step.samples, 0.0)
        for name, (total, count) in step.means.items():
            totals.add(name, total, count)
        if step.targets is None:
            return step
        with torch.no_grad():
            for name, metric in self._rows[stage].items():
                values = metric(step.outputs, step.targets)
                total = values.sum(dtype=wide(values.device))
                # Several values a row (one for each of several targets) are averaged.
                totals.add(name, total, step.count, step.count / max(values.numel(), 1))
            if others := self._whole(stage):
                others.update(step.outputs.detach(), step.targets)
        return step

    def _log(self, stage: str) -> None:
        """Log what the epoch's rows come to, over all processes, and start anew."""
        names = self._names(stage)
        sums, counts = torch.as_tensor(
            self.trainer.strategy.reduce(self.totals[stage].state(names, self.device), reduce_op="sum")
        )
        values = {name: sums[i] / counts[i] for i, name in enumerate(names) if counts[i] and name != SAMPLES}
        if others := self._whole(stage):
            values |= others.compute()
            others.reset()
        values |= self.derived(values)
        if stage == "test":
            self.results = {name: value.cpu() for name, value in values.items() if value.ndim}
            self.log(f"test/{self.counted}", counts[names.index(SAMPLES)], batch_size=1, sync_dist=True)
        shown = "loss" if stage == "train" else self.monitor
        for name, value in values.items():
            if not value.ndim:
                self.log(f"{stage}/{name}", value, prog_bar=name == shown, batch_size=1, sync_dist=True)
        self.totals[stage].clear()

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

    @property
    def _adapters_base(self) -> finetuning.Base:
        if self._base is None:
            self._base = finetuning.base_of(self.model)
        return self._base

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.model.adapter is not None:
            finetuning.keep(self.model, self._adapters_base, checkpoint)
        for role, tokenizer in tokenizers_of(self.model).items():  # a run that does not finish has no model/
            checkpoint[role] = {"json": tokenizer.to_json(), "roles": tokenizer.roles}
        totals = self.totals["train"]
        if totals.counts:  # within an epoch
            names = self._names("train")
            mine = totals.state(names, self.device).cpu()
            everyone = [mine] * self.trainer.world_size
            if len(everyone) > 1:
                torch.distributed.all_gather_object(everyone, mine)
            checkpoint["train_totals"] = {"names": names, "state": torch.stack(everyone)}

    @classmethod
    def load_from_checkpoint(
        cls, checkpoint_path: str | Path, map_location: Any = None, hparams_file: None = None, strict: bool | None = None,
        weights_only: bool | None = None, trust: Sequence[str] = (), **kwargs: Any,
    ) -> "Task":  # fmt: skip
        """A task from a checkpoint alone, model and all, on the CPU or the device `map_location`; see `zoo.tasks.reload`.

        Always without pickle, whatever `weights_only` says. kwargs: arguments of the task in place of the checkpoint's.
        """
        from zoo.tasks.reload import reload

        if weights_only is False or hparams_file is not None:
            raise ZooError("Checkpoints are read without pickle and hparams_file=; give other settings by their names.")
        task = reload(cls, checkpoint_path, strict, trust, **kwargs)
        return task if map_location is None else task.to(map_location)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.model.adapter is not None:
            finetuning.restore(self.model, self._adapters_base, checkpoint)
        check_tokenizers(self.model, checkpoint)  # first: where they are others, most sizes are too
        checkpoint["state_dict"] = named_today(self, checkpoint["state_dict"])
        check_fits(self, checkpoint["state_dict"])
        for state in checkpoint.get("lr_schedulers", []):  # torch makes attributes of whatever these hold
            if wrong := [key for key in state if callable(getattr(LambdaLR, key, None))]:
                raise ZooError(f"The checkpoint's schedule replaces {wrong[0]!r}; go on from another checkpoint.")
        if found := checkpoint.get("train_totals"):
            self._resumed = read_totals(found)


def _model(model: Mapping[str, Any] | nn.Module | None, config: dict[str, Any] | None) -> Model:
    """The model itself, or built of its config."""
    if model is None or isinstance(model, Mapping):
        if not config:
            raise ZooError("There is no config to build the model from; pass the model itself, as model=...")
        model = build_model(config)
    if not isinstance(model, Model):
        raise ZooError(f"{type(model).__name__} is not a zoo.models.Model, which says what it reads; inherit from it.")
    return model
