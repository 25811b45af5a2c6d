"""Activations that torch has not."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.declared import declared


@declared
class ReLUSquared(nn.Module):
    """max(x, 0)^2. So et al. 2021 (Primer), section 3."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


@declared
class Laplace(nn.Module):
    """(1 + erf((x - mu) / (sigma sqrt 2))) / 2, mu = sqrt(1/2), sigma = sqrt(1 / (4 pi)).

    Ma et al. 2023 (Mega), equation 12.
    """

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (1.0 + ((x - math.sqrt(0.5)) / math.sqrt(0.5 / math.pi)).erf())


@declared
class SqrtSoftplus(nn.Module):
    """sqrt(log(1 + exp x))."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x).sqrt()
