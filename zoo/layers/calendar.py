"""What a step of a series brings into its token: the values around it, and where in the calendar it lies."""

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.layers.conv import CausalConv


class StepEmbedding(nn.Module):
    """A token a step: conv(x)_t + W c_t, c_t being the calendar features of step t. Zhou et al. 2021, appendix B.

    Args:
        channels: C.
        dim: width of a token.
        time_features: F, calendar features a step (`zoo.series.calendar`); 0: none are read.
        kernel: steps that the convolution sees, a step's own and those before it.
    """

    def __init__(self, channels: int, dim: int, time_features: int = 0, kernel: int = 3):
        super().__init__()
        self.values = CausalConv(channels, dim, kernel, bias=False)
        nn.init.kaiming_normal_(self.values.weight, mode="fan_in", nonlinearity="leaky_relu")
        self.calendar = nn.Linear(time_features, dim, bias=False) if time_features else None
        self.time_features = time_features

    @property
    def reach(self) -> int:
        """How many steps before the first token it can see."""
        return self.values.kernel_size[0] - 1

    def forward(self, x: Tensor, time_features: Tensor | None = None, before: int = 0) -> Tensor:
        """[B, before + N, C] and [B, N, F] -> [B, N, dim]: the first `before` steps are seen, and get no token.

        Raises: ZooError where the calendar features are not there, or are others than it reads.
        """
        tokens = self.values(x)[:, before:]
        if self.calendar is None:
            return tokens
        wanted = [x.shape[0], tokens.shape[1], self.time_features]
        if time_features is None or list(time_features.shape) != wanted:
            got = "none" if time_features is None else f"{list(time_features.shape)} over these {wanted[1]}"
            raise ZooError(
                f"This model reads {self.time_features} calendar features a step, past_time_features [B, L, "
                f"{self.time_features}] and future_time_features [B, H, {self.time_features}]; got {got}."
            )
        return tokens + self.calendar(time_features)


def whole_window(past: Tensor | None, future: Tensor | None) -> Tensor | None:
    """Calendar features of lookback and horizon, [B, L + H, F]; None where either is missing."""
    return None if past is None or future is None else torch.cat([past, future], 1)
