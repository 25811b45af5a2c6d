"""What a step of a series brings into its token: the values around it, where in the calendar it lies, what else is known."""

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.layers.conv import CausalConv


class StepEmbedding(nn.Module):
    """A token a step: conv(x)_t + W c_t, c_t being the calendar features of step t, and behind them further columns that are
    known of every step. Zhou et al. 2021, appendix B.

    Args:
        channels: C.
        dim: width of a token.
        time_features: F, calendar features a step (`zoo.series.calendar`); 0: none are read.
        known: K, further columns.
        kernel: steps that the convolution sees, a step's own and those before it.
    """

    def __init__(self, channels: int, dim: int, time_features: int = 0, known: int = 0, kernel: int = 3):
        super().__init__()
        self.values = CausalConv(channels, dim, kernel, bias=False)
        nn.init.kaiming_normal_(self.values.weight, mode="fan_in", nonlinearity="leaky_relu")
        self.features = (time_features, known)
        self.calendar = nn.Linear(sum(self.features), dim, bias=False) if any(self.features) else None

    @property
    def reach(self) -> int:
        """How many steps before the first token it can see."""
        return self.values.kernel_size[0] - 1

    def forward(self, x: Tensor, features: Tensor | None = None, before: int = 0) -> Tensor:
        """[B, before + N, C] and [B, N, F + K] -> [B, N, dim]: the first `before` steps are seen, and get no token."""
        tokens = self.values(x)[:, before:]
        return tokens if self.calendar is None else tokens + self.calendar(features)

    def of_window(self, past: Tensor | None, future: Tensor | None, known: Tensor | None = None) -> Tensor | None:
        """What is known of each step of the window: [B, L, F], [B, H, F], [B, L + H, K] -> [B, L + H, F + K]; None where the
        embedding reads nothing of the kind.

        Raises: ZooError where calendar features are missing, or are others than it reads.
        """
        wide, columns = self.features
        parts = []
        if wide:
            if past is None or future is None or past.shape[-1] != wide or future.shape[-1] != wide:
                got = ["none" if x is None else list(x.shape) for x in (past, future)]
                raise ZooError(
                    f"This model reads {wide} calendar features a step, past_time_features [B, L, {wide}] and "
                    f"future_time_features [B, H, {wide}]; got {got[0]} and {got[1]}."
                )
            parts.append(torch.cat([past, future], 1))
        if columns and known is not None:
            parts.append(known)
        return torch.cat(parts, -1) if parts else None
