"""Quantiles from the errors on validation windows: split conformal prediction, around whatever another head says."""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.declared import declared
from zoo.errors import ZooError
from zoo.models.series.heads import LEVELS, Forecast, Head, Point, interpolate

#: Below so many windows the quantiles .1 and .9 would lie beyond the largest error.
FEWEST = 9


@declared
class Conformal(Head):
    """Another head, and offsets of its quantiles (of its mean, where it has none) by step and channel.

        q_p = head's q_p + offset_p,    offset_p = the ceil((n + 1) p)-th smallest of the n errors y - head's q_p, p >= .5
                                                   the floor((n + 1) p)-th, p < .5

    over the validation windows at that step of that channel. If errors of the test windows are as those (exchangeable), a value
    lies above q_.9 with a chance of at most .1; series drift, so coverage is measured and not promised. Sorted at the end:
    offsets of levels that are each right alone might make them cross.

    Args:
        head: the other.
        channels: C.
        horizon: H.
    Source: Vovk et al. 2005; Romano et al. 2019 for quantiles, of which each end is made right alone here.
    """

    offsets: Tensor
    windows: Tensor

    def __init__(self, head: Head | None = None, channels: int = 1, horizon: int = 1):
        super().__init__()
        self.head = Point() if head is None else head
        self.width, self.levels, self.own_loss = self.head.width, self.head.levels, self.head.own_loss
        self.register_buffer("offsets", torch.zeros(horizon, channels, len(LEVELS)))
        self.register_buffer("windows", torch.zeros(()))  # that it was calibrated with; 0: not yet

    @property
    def ready(self) -> bool:
        return self.calibrated or self.head.ready

    @property
    def reaches(self) -> bool:
        return self.calibrated or self.head.reaches

    @property
    def calibrated(self) -> bool:
        """Whether offsets were made for the weights of today."""
        return bool(self.windows > 0)

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        return self.head(raw, loc, scale)

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor | None:
        return self.head.loss(forecast, target)

    def quantiles(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor:
        """At other levels than .1 ... .9: straight between two, and flat beyond the last."""
        if not self.calibrated:
            if self.head.ready:
                return self.head.quantiles(forecast, levels)
            raise ZooError("The conformal quantiles of this model are made at its test, which it has not had: run it.")
        found = (self._before(forecast) + self.offsets.to(forecast.mean)).sort(-1).values
        return found if tuple(levels) == LEVELS else interpolate(found, LEVELS, levels)

    def errors(self, forecast: Forecast, target: Tensor) -> Tensor:
        """[B, H, C, 9], or [B, H, C, 1] of a head without quantiles: what `calibrate` takes, of each window."""
        before = self._before(forecast) if self.head.ready else forecast.mean.unsqueeze(-1)
        return target.unsqueeze(-1) - before

    @torch.no_grad()
    def calibrate(self, errors: Tensor) -> None:
        """Set the offsets.

        Args:
            errors: [n, H, C, 9 or 1], NaN where nothing was observed. A cell with less than 9 takes its largest and smallest;
                one without any is left as the head has it.
        Raises: ZooError for less than 9 windows.
        """
        if len(errors) < FEWEST:
            raise ZooError(few(len(errors)))
        count = errors[..., :1].isfinite().sum(0, keepdim=True)  # [1, H, C, 1]
        ordered = errors.sort(0).values  # NaN last
        levels = torch.tensor(LEVELS, dtype=torch.float64, device=errors.device)
        exact = (count + 1) * levels
        up, down = (exact - 1e-9).ceil(), (exact + 1e-9).floor()
        ranks = [
            torch.where(levels > 0.5 - 1e-9, up, down),
            torch.where(levels > 0.5 + 1e-9, up, down),
        ]  # the median: both
        ordered = ordered.expand(*errors.shape[:-1], len(LEVELS))
        first, second = (
            ordered.gather(0, (rank.clamp(min=1).minimum(count) - 1).clamp(min=0).long()) for rank in ranks
        )
        self.offsets.copy_(((first + second) / 2).squeeze(0).nan_to_num(0.0))
        self.windows.fill_(len(errors))

    def reset(self) -> None:
        """The weights will change: what was calibrated is of no use."""
        self.offsets.zero_()
        self.windows.zero_()

    def _before(self, forecast: Forecast) -> Tensor:
        if self.head.ready:
            return self.head.quantiles(forecast, LEVELS)
        return forecast.mean.unsqueeze(-1).expand(*forecast.mean.shape, len(LEVELS))


def few(windows: int) -> str:
    """Why so few windows do not do."""
    return (
        f"task.conformal=true takes quantiles of the errors on validation windows, {FEWEST} at least; there are {windows}: "
        "give more validation rows (data.split), or leave it out."
    )
