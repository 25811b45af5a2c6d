"""What a forecaster's last numbers mean: a value, quantiles, or the parameters of a distribution.

A head has no weights: a family maps its features to horizon * head.width numbers a channel, and the head reads them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Categorical,
    Distribution,
    MixtureSameFamily,
    TransformedDistribution,
)
from torch.distributions import Normal as NormalDistribution
from torch.distributions import StudentT as StudentTDistribution
from torch.nn import functional as F

from zoo.declared import declared
from zoo.errors import ZooError

#: The quantiles by which forecasts are measured.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Forecast(NamedTuple):
    """What a forecaster says of the H steps that follow.

    mean: [B, H, C], in the units of past_values. quantiles: [B, H, C, levels] in the same, of a head with levels; else None.
    params: of the distribution, a tensor [B, H, C, ...] each, before loc and scale; None where there is none. loc, scale:
    [B, 1, C], by which the model normed each window; None where it did not.
    """

    mean: Tensor
    quantiles: Tensor | None = None
    params: tuple[Tensor, ...] | None = None
    loc: Tensor | None = None
    scale: Tensor | None = None


class Head(nn.Module):
    """Base class: `width` numbers a step and channel, and what they mean.

    Attributes:
        width: numbers a step and channel.
        levels: quantiles that its forecasts hold; () of a head that holds none.
        own_loss: whether it says what is minimised; else the task does.
        ready: whether `quantiles` can be asked for.
        reaches: whether these are more than a guess from .1 to .9.
    """

    width: int = 1
    levels: tuple[float, ...] = ()
    own_loss: bool = True

    @property
    def ready(self) -> bool:
        return True

    @property
    def reaches(self) -> bool:
        return not self.levels or (self.levels[0] <= LEVELS[0] and self.levels[-1] >= LEVELS[-1])

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        """raw [B, H, C, width], loc and scale [B, 1, C] of each window -> the forecast, in float32 or wider."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(raw, loc, scale)")

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor | None:
        """[B, H, C], nothing reduced, of the target [B, H, C] in the units of the mean; None: the task's loss decides."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(forecast, target)")

    def quantiles(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor:
        """[B, H, C, levels], in the units of the mean and never crossing. Raises: ZooError of a head that has none."""
        raise ZooError(
            f"head={type(self).__name__} has no quantiles; take head=quantile, normal, student_t or mixture."
        )


@declared
class Point(Head):
    """One value a step, the mean; which loss makes it one the task says (`task.loss`)."""

    own_loss = False

    @property
    def ready(self) -> bool:
        return False

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        return Forecast(back(wide(raw)[..., 0], loc, scale), loc=loc, scale=scale)

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor | None:
        return None


@declared
class Quantile(Head):
    """Quantiles at `levels`, by the pinball loss, which is averaged over the levels.

        q_m = raw_m at the middle level,   q_k+1 = q_k + softplus(raw_k+1),   q_k-1 = q_k - softplus(raw_k-1)

    so none crosses another. Its mean is that of the quantile function between the levels, straight between two and flat
    beyond the last.

    Args:
        levels: ascending, within (0, 1).
    """

    def __init__(self, levels: Sequence[float] = LEVELS):
        super().__init__()
        self.levels = tuple(float(level) for level in levels)
        ascending = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        if not self.levels or not ascending or self.levels[0] <= 0 or self.levels[-1] >= 1:
            raise ZooError(f"model.head.levels={list(levels)} are not ascending numbers between 0 and 1.")
        self.width = len(self.levels)

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        raw, m = wide(raw), self.width // 2
        steps, middle = F.softplus(raw), raw[..., m : m + 1]
        below = middle - steps[..., :m].flip(-1).cumsum(-1).flip(-1)
        above = middle + steps[..., m + 1 :].cumsum(-1)
        own = torch.cat([below, middle, above], -1)
        quantiles = own if loc is None or scale is None else own * scale.unsqueeze(-1) + loc.unsqueeze(-1)
        edges = torch.tensor([-self.levels[0], *self.levels, 2 - self.levels[-1]], dtype=raw.dtype, device=raw.device)
        return Forecast(quantiles @ ((edges[2:] - edges[:-2]) / 2), quantiles, loc=loc, scale=scale)

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor:
        return pinball(_held(forecast), target, self.levels).mean(-1)

    def quantiles(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor:
        """At other levels than its own: straight between two, and flat beyond the last."""
        own = _held(forecast)
        return own if tuple(levels) == self.levels else interpolate(own, self.levels, levels)


class Parametric(Head):
    """Base of heads that give a distribution, trained by its negative log-likelihood.

    loss = -log p((y - loc) / scale) + log scale
    """

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        """raw [B, H, C, width] -> the parameters, each in its range."""
        raise NotImplementedError(f"{type(self).__name__} has no parameters_of(raw)")

    def base(self, params: tuple[Tensor, ...]) -> Distribution:
        """The distribution before loc and scale."""
        raise NotImplementedError(f"{type(self).__name__} has no base(params)")

    def inverse(self, params: tuple[Tensor, ...], levels: Sequence[float]) -> Tensor:
        """[B, H, C, levels], quantiles before loc and scale."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse(params, levels)")

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        params = self.parameters_of(wide(raw))
        return Forecast(back(self.base(params).mean, loc, scale), None, params, loc, scale)

    def distribution(self, forecast: Forecast) -> Distribution:
        """In the units of the mean, to sample from."""
        base = self.base(_parameters(forecast))
        if forecast.loc is None or forecast.scale is None:
            return base
        return TransformedDistribution(base, [AffineTransform(forecast.loc, forecast.scale)])

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor:
        base = self.base(_parameters(forecast))
        if forecast.loc is None or forecast.scale is None:
            return -base.log_prob(target)
        return forecast.scale.log() - base.log_prob((target - forecast.loc) / forecast.scale)

    def quantiles(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor:
        own = self.inverse(_parameters(forecast), levels)
        if forecast.loc is None or forecast.scale is None:
            return own
        return own * forecast.scale.unsqueeze(-1) + forecast.loc.unsqueeze(-1)


@declared
class Normal(Parametric):
    """A normal distribution. params: (loc, scale), scale = squareplus(raw) as transformers has it."""

    width = 2

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        return raw[..., 0], positive(raw[..., 1])

    def base(self, params: tuple[Tensor, ...]) -> Distribution:
        loc, scale = params
        return NormalDistribution(loc, scale, validate_args=False)

    def inverse(self, params: tuple[Tensor, ...], levels: Sequence[float]) -> Tensor:
        loc, scale = params
        return loc.unsqueeze(-1) + scale.unsqueeze(-1) * torch.special.ndtri(loc.new_tensor(levels))


@declared
class StudentT(Parametric):
    """Student's t. params: (df, loc, scale), df = 2 + squareplus(raw), so that a variance exists, as in transformers."""

    width = 3

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        return 2.0 + squareplus(raw[..., 0]), raw[..., 1], positive(raw[..., 2])

    def base(self, params: tuple[Tensor, ...]) -> Distribution:
        df, loc, scale = params
        return StudentTDistribution(df, loc, scale, validate_args=False)

    def inverse(self, params: tuple[Tensor, ...], levels: Sequence[float]) -> Tensor:
        df, loc, scale = params
        return loc.unsqueeze(-1) + scale.unsqueeze(-1) * t_quantiles(df, levels)


@declared
class Mixture(Parametric):
    """A mixture of normal distributions. params: (logits, loc, scale), [B, H, C, components] each.

    Args:
        components: how many.
    """

    def __init__(self, components: int = 3):
        super().__init__()
        if components < 1:
            raise ZooError(f"model.head.components={components} is below 1; 1 is a normal distribution.")
        self.components, self.width = components, 3 * components

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        logits, loc, scale = raw.split(self.components, -1)
        # Equal components would learn the same for ever where raw starts near 0: they begin apart.
        apart = torch.linspace(-1, 1, self.components, dtype=raw.dtype, device=raw.device) if self.components > 1 else 0
        return logits, loc + apart, positive(scale)

    def base(self, params: tuple[Tensor, ...]) -> Distribution:
        logits, loc, scale = params
        parts = NormalDistribution(loc, scale, validate_args=False)
        return MixtureSameFamily(Categorical(logits=logits, validate_args=False), parts, validate_args=False)

    def inverse(self, params: tuple[Tensor, ...], levels: Sequence[float]) -> Tensor:
        """By bisection, between the components' own quantiles; one bracket for all levels, so that none crosses another."""
        logits, loc, scale = params
        ends = torch.special.ndtri(loc.new_tensor([min(levels), max(levels)]))
        low = (loc + scale * ends[0]).amin(-1, keepdim=True).expand(*loc.shape[:-1], len(levels))
        high = (loc + scale * ends[1]).amax(-1, keepdim=True).expand_as(low)
        shares, wanted = logits.softmax(-1), loc.new_tensor(levels)
        for _ in range(40):
            middle = (low + high) / 2
            inside = torch.special.ndtr((middle.unsqueeze(-1) - loc.unsqueeze(-2)) / scale.unsqueeze(-2))
            less = (inside * shares.unsqueeze(-2)).sum(-1) < wanted
            low, high = torch.where(less, middle, low), torch.where(less, high, middle)
        return (low + high) / 2


# ---- what they are made of


def wide(raw: Tensor) -> Tensor:
    """In float32, or wider."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def back(own: Tensor, loc: Tensor | None, scale: Tensor | None) -> Tensor:
    """[B, H, C] in the units of the window."""
    return own if loc is None or scale is None else own * scale + loc


def squareplus(x: Tensor) -> Tensor:
    """(x + sqrt(x^2 + 4)) / 2, above 0: as softplus, without its exponential (Barron 2021)."""
    return (x + torch.sqrt(x.square() + 4.0)) / 2.0


def positive(x: Tensor) -> Tensor:
    return squareplus(x).clamp(min=torch.finfo(x.dtype).eps)


def pinball(quantiles: Tensor, target: Tensor, levels: Sequence[float]) -> Tensor:
    """[..., levels] and a target [...] -> max(p (y - q), (p - 1) (y - q)), [..., levels]."""
    error = target.unsqueeze(-1) - quantiles
    p = torch.tensor(levels, dtype=error.dtype, device=error.device)
    return torch.maximum(p * error, (p - 1) * error)


def interpolate(values: Tensor, have: Sequence[float], want: Sequence[float]) -> Tensor:
    """[..., have] -> [..., want], straight between two and flat beyond the last; of ascending values ascending ones."""
    at = torch.tensor(have, dtype=torch.float64)
    to = torch.tensor(want, dtype=torch.float64).clamp(at[0], at[-1])
    right = torch.searchsorted(at, to).clamp(min=min(1, len(have) - 1), max=len(have) - 1)
    left = (right - 1).clamp(min=0)
    share = (to - at[left]) / (at[right] - at[left]).clamp(min=1e-12)
    a, b = values[..., left.to(values.device)], values[..., right.to(values.device)]
    return torch.lerp(a, b, share.to(a))


NODES = 2049  # a straight line between two is off by at most 1e-6 at .1 and .9


@lru_cache(16)
def _t_table(levels: tuple[float, ...]) -> Any:
    """[NODES, levels]: quantiles of Student's t at 1 / df = 0 (the normal distribution) ... 1 / 2, of scipy. An array: a tensor
    that is kept could be one of inference mode, with which nobody can train (E11)."""
    import numpy as np
    from scipy.special import ndtri, stdtrit

    inverse = np.linspace(0, 0.5, NODES)[:, None]
    found = np.where(inverse > 0, stdtrit(1 / inverse.clip(1e-9), np.array(levels)), ndtri(np.array(levels)))
    return found


def t_quantiles(df: Tensor, levels: Sequence[float]) -> Tensor:
    """df [...] from 2 on -> [..., levels]. A quantile is a smooth function of 1 / df alone: read off a table."""
    table = torch.from_numpy(_t_table(tuple(levels))).to(df)
    place = (1 / df).clamp(0, 0.5) * (2 * (NODES - 1))
    left = place.floor().long().clamp(max=NODES - 2)
    return torch.lerp(table[left], table[left + 1], (place - left).unsqueeze(-1))


def _held(forecast: Forecast) -> Tensor:
    if forecast.quantiles is None:
        raise ZooError("This forecast holds no quantiles: it is not of a head with levels.")
    return forecast.quantiles


def _parameters(forecast: Forecast) -> tuple[Tensor, ...]:
    if forecast.params is None:
        raise ZooError("This forecast holds no parameters of a distribution: it is of another head.")
    return forecast.params
