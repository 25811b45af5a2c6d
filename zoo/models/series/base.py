"""What every forecaster says of itself: a window of a series in, a `Forecast` of the steps that follow out."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import examples
from zoo.models.base import Model
from zoo.models.series.heads import LEVELS, Forecast, Head, Point

__all__ = ["Forecast", "Forecaster", "Window"]


class Window(NamedTuple):
    """What a forecaster reads, by the names of a batch and never future_values; None where there is no such thing. Shapes
    stand at `Forecaster.forward`."""

    past_values: Tensor
    past_time_features: Tensor | None = None
    future_time_features: Tensor | None = None
    past_observed_mask: Tensor | None = None
    past_covariates: Tensor | None = None
    future_covariates: Tensor | None = None
    static_categorical_features: Tensor | None = None
    static_real_features: Tensor | None = None


INPUTS = Window._fields
#: Those that are exogenous columns.
EXOGENOUS = INPUTS[4:]
#: Their sizes (`SeriesSpec.sizes`), and the setting of the data that brings each.
SIZES = {
    "past_covariates": "data.past",
    "future_covariates": "data.future",
    "static_categories": "data.static",
    "static_reals": "data.static",
}


class Forecaster(Model):
    """A model of series. A family has a `forward_window`, and maps its features to horizon * head.width numbers a channel by
    `proj`.

    Args:
        channels: C, target columns.
        lookback: L, steps that it sees.
        horizon: H, steps that it forecasts.
        head: what its last numbers mean; None: `Point`.

    Attributes:
        covariates: whether it reads exogenous columns. Calendar features are none.
        tokens: what its attention is between: "steps", "patches" or "channels".
    Raises: ZooError for sizes below 1.
    """

    reads = ("series",)
    heads: ClassVar[tuple[str, ...]] = ("proj", "head")
    of_data: ClassVar[tuple[str, ...]] = ("proj", "position")
    of_task: ClassVar[tuple[str, ...]] = ("head", "masking")
    num_classes = 0
    targets = "values"
    covariates: ClassVar[bool] = False
    tokens: ClassVar[str] = "steps"

    channels: int
    lookback: int
    horizon: int
    head: Head

    def __init__(self, channels: int, lookback: int, horizon: int, head: Head | None = None):
        super().__init__()
        sizes = dict(channels=channels, lookback=lookback, horizon=horizon)
        if wrong := [f"{name}={value}" for name, value in sizes.items() if value < 1]:
            raise ZooError(f"Sizes of a forecaster are positive; got {', '.join(wrong)}.")
        if head is not None and not isinstance(head, Head):
            raise ZooError(f"model.head={head!r} is no head; take head=point, quantile, normal, student_t or mixture.")
        self.channels, self.lookback, self.horizon = channels, lookback, horizon
        self.head = Point() if head is None else head

    def forward(
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        future_time_features: Tensor | None = None,
        past_observed_mask: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
    ) -> Forecast:
        """past_values [B, L, C] -> the forecast of the H steps that follow.

        Args:
            past_time_features: [B, L, F], what the calendar says of each step.
            future_time_features: [B, H, F].
            past_observed_mask: [B, L, C] bool, False where a value is missing; None: all are there.
            past_covariates: [B, L, P], columns that are known of the past alone.
            future_covariates: [B, L + H, K], columns that are known ahead, over lookback and horizon.
            static_categorical_features: [B, S] long, of the whole series.
            static_real_features: [B, R].
        """
        window = Window(
            past_values, past_time_features, future_time_features, past_observed_mask, past_covariates, future_covariates,
            static_categorical_features, static_real_features,
        )  # fmt: skip
        self.check_inputs(past_values, past_observed_mask, **{name: getattr(window, name) for name in EXOGENOUS})
        return self.forward_window(window)

    def forward_window(self, window: Window) -> Forecast:
        """What a family defines: a window that fits -> its forecast."""
        raise NotImplementedError(f"{type(self).__name__} is a forecaster without `forward_window`: define it.")

    def intervals(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor | None:
        """[B, H, C, levels], quantiles in the units of the mean, with the conformal offsets that the model has; None where its
        forecasts have none."""
        return self.head.quantiles(forecast, levels) if self.head.ready else None

    @property
    def forecasts(self) -> bool:
        """Whether its forward gives a `Forecast`; one that was pre-trained on something else does not."""
        return True

    def inputs(self, batch: Mapping[str, Any]) -> tuple[Any, ...]:
        """What `forward` takes of a batch, in its order, None where the data have no such thing; never future_values."""
        return tuple(batch.get(name) for name in INPUTS)

    def example(self, draw: examples.Draw) -> Any:
        return examples.series(self, draw)

    def check_inputs(self, past_values: Tensor, observed: Tensor | None = None, **exogenous: Tensor | None) -> None:
        """Refuse other windows than it was made for, and exogenous columns where it reads none (E7)."""
        if past_values.ndim != 3 or tuple(past_values.shape[1:]) != (self.lookback, self.channels):
            raise ZooError(
                f"{type(self).__name__} forecasts windows [B, {self.lookback}, {self.channels}] (lookback, channels); got "
                f"past_values {list(past_values.shape)}."
            )
        if observed is not None and (observed.dtype != torch.bool or observed.shape != past_values.shape):
            raise ZooError(
                f"past_observed_mask is boolean, True = observed, of the shape of past_values, {list(past_values.shape)}; "
                f"got {observed.dtype} {list(observed.shape)}."
            )
        if not self.covariates and (given := [name for name, tensor in exogenous.items() if tensor is not None]):
            raise ZooError(f"{type(self).__name__} reads no exogenous columns, and was given {', '.join(given)}.")

    @classmethod
    def check_data(cls, config: Mapping[str, Any], spec: Any) -> None:
        """Refuse exogenous columns where it reads none, before anything is built (E7)."""
        there = {SIZES[name]: value for name, value in spec.sizes().items() if name in SIZES and value}
        if cls.covariates or not there:
            return
        roles = getattr(spec.preprocess, "roles", None) or {}
        columns = [f"{key}={list(names)}" if (names := _columns(roles, key)) else key for key in there]
        raise ZooError(
            f"{cls.__name__} reads no exogenous columns, and the data has {', '.join(columns)}; leave them out, or take "
            "model=patchtst or model=informer, which read them."
        )

    @property
    def linear_head(self) -> nn.Linear | None:
        """The map to the horizon."""
        proj = self._modules.get("proj")
        return proj if isinstance(proj, nn.Linear) else None

    def describe(self) -> dict[str, str]:
        channels = f"{self.channels} channel{'s' * (self.channels > 1)}"
        said = {"window": f"{self.lookback:,} steps of {channels} -> {self.horizon:,}"}
        return {**said, "head": type(self.head).__name__}


def _columns(roles: Any, key: str) -> Any:
    """Names of the columns that a setting such as data.past names, where the preprocessing tells them."""
    name = key.removeprefix("data.")
    return roles.get(name) if isinstance(roles, Mapping) else getattr(roles, name, None)
