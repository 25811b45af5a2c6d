"""Convolutions along time."""

from torch import Tensor, nn
from torch.nn import functional as F


class CausalConv(nn.Conv1d):
    """A convolution along time that sees a step and those before it: y_t = sum_j W_j x_(t - j), j = 0 ... kernel - 1.

    [B, N, wide] -> [B, N, dim]; before the first step there are zeros. Zhou et al. 2021 pad in a circle: there the first step
    sees the last one, and every step the next.

    Args:
        wide, dim: numbers a step, in and out.
        kernel: steps that it sees.
        bias: whether something is added to each.
        circular: see (kernel - 1) / 2 steps on either side, in a circle, as their code does.
    """

    def __init__(self, wide: int, dim: int, kernel: int = 3, bias: bool = True, circular: bool = False):
        super().__init__(wide, dim, kernel, bias=bias)
        self.circular = circular

    def forward(self, x: Tensor) -> Tensor:
        reach = self.kernel_size[0] - 1
        x = x.transpose(1, 2)
        x = F.pad(x, (reach // 2, reach // 2), mode="circular") if self.circular else F.pad(x, (reach, 0))
        return super().forward(x).transpose(1, 2)
