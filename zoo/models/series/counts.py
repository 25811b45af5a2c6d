"""A head for counts."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import NegativeBinomial as NegativeBinomialDistribution

from zoo.declared import declared
from zoo.models.series.heads import LEVELS, Forecast, Head, squareplus, wide


@declared
class NegativeBinomial(Head):
    """A negative binomial distribution of counts. params: (total_count, logits), total_count = squareplus(raw).

        P(y) = C(y + n - 1, y) p^y (1 - p)^n,   p = sigmoid(logits + log scale)

    As in transformers: counts stay whole numbers, so the window's scale goes into the parameters, and its loc nowhere. Salinas
    et al. 2020, section 3.1, in another form.
    """

    width = 2

    def forward(self, raw: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        raw = wide(raw)
        params = squareplus(raw[..., 0]), raw[..., 1]
        found = Forecast(params[0], None, params, loc, scale)
        return found._replace(mean=self.distribution(found).mean)

    def distribution(self, forecast: Forecast) -> Distribution:
        """In the units of the mean, to sample from."""
        assert forecast.params is not None, "a forecast of this head has parameters"
        total, logits = forecast.params
        logits = logits if forecast.scale is None else logits + forecast.scale.log()
        return NegativeBinomialDistribution(total, logits=logits, validate_args=False)

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor:
        return -self.distribution(forecast).log_prob(target)

    def quantiles(self, forecast: Forecast, levels: Sequence[float] = LEVELS) -> Tensor:
        """The least count whose probability of being reached is the level, by scipy."""
        from scipy.stats import nbinom

        own: Any = self.distribution(forecast)
        n, p = own.total_count.detach().cpu().numpy(), own.probs.detach().cpu().numpy()
        found = nbinom.ppf(torch.tensor(levels).numpy(), n[..., None], 1 - p[..., None])
        return torch.from_numpy(found).to(forecast.mean)
