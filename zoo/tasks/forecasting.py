"""Forecasting: the values that follow a window; every mean is over observed cells, whatever the batches (E1, A13)."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from zoo.errors import ZooError, nearest
from zoo.models.series.base import Forecast
from zoo.models.series.conformal import FEWEST, Conformal, few
from zoo.models.series.heads import LEVELS
from zoo.spec import WORDS, Spec
from zoo.tasks.conformal import validation_errors, with_conformal
from zoo.tasks.forecast_scores import OF_QUANTILES, absolute_error, scored, squared_error
from zoo.tasks.task import RowMetric, Task
from zoo.tasks.totals import Step
from zoo.tasks.whole_step import WholeStep

#: What a forecast of one value a step can minimise: (forecasts, targets) -> a value a cell.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda made, true: F.mse_loss(made, true, reduction="none"),
    "mae": lambda made, true: F.l1_loss(made, true, reduction="none"),
    "huber": lambda made, true: F.smooth_l1_loss(made, true, reduction="none"),
}


class Forecasting(WholeStep, Task):
    """Minimise the loss of the forecast over the cells that were observed.

        loss = sum_bhc m_bhc l(y_bhc, forecast_bhc) / sum m,    m = 1 where the value was observed

    The sum runs over all windows of an optimizer step, over accumulated batches and processes alike, so that the gradient is
    that of the one big batch whatever its parts. Errors are on the scale of the data's batches: z-scored by the training rows.

    Args:
        model: see `Task`, as are the arguments after `loss`.
        loss: "mse", "mae" or "huber" (squared below 1, straight above) of a model with head=point; None: "mse" there, else what
            the head has: the pinball loss, or the negative log-likelihood.
        conformal: quantiles (of a head that has some: better ones) from the errors on the validation windows, made with the
            weights that are tested and kept with the model; see `Conformal`.

    Shapes: a batch is a dict of tensors: what `Forecaster.forward` takes, future_values [B, H, C] and future_observed_mask
        [B, H, C] bool (left out: all are observed).
    Logs: loss, mse, mae; mase, the absolute error over the training rows' seasonal-naive one, channel by channel, without those
        channels that are constant in training; test/samples, windows. Of a head with quantiles crps = 2 x mean pinball loss at
        .1 ... .9, wql = the sum of the same / sum |y| in the data's units (as GluonTS has it), coverage_80, the share of values
        between the quantiles .1 and .9; not of head=quantile with levels that do not reach from .1 to .9. mase and wql need the
        scale of the data: of the data module or the windows, else of the model's preprocessing; without any they are left out.
    Raises: ZooError on a model that is no forecaster, data that are no series, or a loss beside a head that has its own.
    """

    learns = ("values",)
    monitor, mode = "loss", "min"
    forecasts = True
    losses: ClassVar[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = LOSSES

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | None,
        optimizer: Mapping[str, Any],
        schedule: Mapping[str, Any] | None = None,
        loss: str | None = None,
        conformal: bool = False,
        layer_decay: float | None = None,
        finetune: str = "full",
        grad_checkpointing: bool = False,
        compile: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        model = with_conformal(model) if conformal else model
        super().__init__(model, optimizer, schedule, layer_decay, finetune, grad_checkpointing, compile, monitor, mode)
        self.remember(loss=loss, conformal=conformal)
        if "series" not in self.model.reads:
            raise ZooError(f"task=forecasting is for models of series, and {type(self.model).__name__} is none.")
        if getattr(self.model, "masking", None) is not None:
            raise ZooError("The model fills in hidden patches and forecasts nothing; leave model.masking out.")
        if loss is not None and loss not in LOSSES:
            raise ZooError(f"task.loss={loss!r} is unknown; {nearest(str(loss), LOSSES)}")
        head: Any = self.model.head
        if loss is not None and head.own_loss:
            raise ZooError(f"task.loss={loss} is for head=point, and {type(head).__name__} has its own; leave it out.")
        self.cell_loss = LOSSES[loss or "mse"]
        self.means = ("mase", *OF_QUANTILES) if head.ready or isinstance(head, Conformal) else ("mase",)
        if monitor in OF_QUANTILES and not head.ready:
            raise ZooError(
                f"task.monitor={monitor} is measured of forecasts with quantiles, which head=point lacks in validation; "
                "take head=quantile, normal, student_t or mixture, or another monitor."
            )
        self._scale: tuple[Any, SimpleNamespace] | None = None

    @classmethod
    def outputs(cls, spec: Spec) -> int:
        """None beside the forecast's own. Raises: ZooError for data that are no series."""
        if spec.modality != "series":
            there = WORDS.get(spec.modality, spec.modality)
            raise ZooError(f"{cls.__name__} learns from series, and the data has {there}; take another task=.")
        return 0

    # ---- conformal quantiles, which are of the weights that are tested

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if isinstance(self.model.head, Conformal):
            self.model.head.reset()
            windows = getattr(self._data, "val_size", FEWEST)
            if windows < FEWEST:
                raise ZooError(few(windows))

    def on_test_start(self) -> None:
        head: Any = self.model.head
        if isinstance(head, Conformal) and not head.calibrated:
            head.calibrate(validation_errors(self, head, self._data))

    @property
    def _data(self) -> Any:
        return getattr(self._trainer, "datamodule", None)

    # ---- a batch

    def step(self, batch: Mapping[str, Tensor], stage: str) -> Step:
        forecast: Any = self(*self.model.inputs(batch))
        target, observed = batch["future_values"], batch.get("future_observed_mask")
        if target.shape != forecast.mean.shape:
            raise ZooError(
                f"The model forecasts {list(forecast.mean.shape[1:])} (steps, channels), and the batch's future_values are "
                f"{list(target.shape[1:])}."
            )
        all_there = observed is None or bool(observed.all())
        seen = _all if all_there else lambda cells: cells[observed]
        head: Any = self.model.head
        cells = head.loss(forecast, target)
        cells = seen(self.cell_loss(forecast.mean, target) if cells is None else cells)
        made, true = seen(forecast.mean), seen(target)
        means = {} if stage == "train" else self._beside(forecast, target, made, true, None if all_there else observed)
        return Step(cells.sum() / max(len(cells), 1), len(cells), made, true, means, len(target))

    def metrics(self, stage: str) -> dict[str, RowMetric | Metric]:
        return {"mse": squared_error, "mae": absolute_error}

    def _beside(
        self, forecast: Forecast, target: Tensor, made: Tensor, true: Tensor, observed: Tensor | None
    ) -> dict[str, tuple[Tensor, float]]:
        """What is no mean over all observed cells, or asks for more than the mean of the forecast."""
        found: dict[str, tuple[Tensor, float]] = {}
        scale = self.scale
        channel = torch.arange(target.shape[-1], device=target.device).expand_as(target)
        channel = channel.flatten() if observed is None else channel[observed]
        if scale.mase is not None:
            of_channel = torch.as_tensor(scale.mase, device=target.device, dtype=torch.float64)[channel]
            there = of_channel.isfinite() & (of_channel > 0)
            found["mase"] = ((made - true).abs()[there] / of_channel[there]).sum(), int(there.sum())
        model: Any = self.model
        quantiles = model.intervals(forecast, LEVELS)
        if quantiles is not None and model.head.reaches:
            quantiles = quantiles.flatten(0, 2) if observed is None else quantiles[observed]
            found |= scored(quantiles, true, scale, channel)
        return found

    @property
    def scale(self) -> SimpleNamespace:
        """mase, mean and std of the channels, None each where nobody tells: of the data at hand, else of the model's."""
        spec = getattr(self._data, "spec", None)
        told = getattr(spec, "preprocess", None) or self._of_loader() or self.model.preprocess
        if self._scale is None or self._scale[0] is not told:
            c = self.model.channels
            mase, mean, std = (getattr(told, name, None) for name in ("mase_scale", "mean", "std"))
            mase = None if mase is None else [float("nan") if each is None else each for each in mase]
            self._scale = told, SimpleNamespace(mase=mase, mean=mean and mean[:c], std=std and std[:c])
        return self._scale[1]

    def _of_loader(self) -> Any:
        """The preprocessing that the windows of the trainer's loader tell, where there is no data module."""
        trainer: Any = self._trainer
        loader = None if trainer is None or trainer.training else trainer.test_dataloaders or trainer.val_dataloaders
        return getattr(getattr(loader, "dataset", None), "preprocess", None)


def _all(cells: Tensor) -> Tensor:
    return cells.flatten()
