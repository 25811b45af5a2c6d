"""Half as many tokens of a series: Informer's distilling."""

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers.conv import CausalConv


class Distil(nn.Module):
    """[B, N, dim] -> [B, ceil(N / 2), dim]: max-pool(ELU(norm(conv(x)))), three steps wide, two apart. Zhou et al. 2021, eq. 5.

    A pool ends at the last token, so that the newest is in it whether N is even or odd. Zhou et al. convolve in a circle; here
    a token sees itself and the two before it.

    Args:
        dim: width of a token.
        circular: convolve in a circle, as their code and transformers'.
    """

    def __init__(self, dim: int, circular: bool = False):
        super().__init__()
        self.conv = CausalConv(dim, dim, 3, circular=circular)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.norm(self.conv(x).transpose(1, 2)))
        if self.conv.circular:
            return F.max_pool1d(x, 3, 2, padding=1).transpose(1, 2)
        x = F.pad(x, (2 if x.shape[-1] % 2 else 1, 0), value=-float("inf"))
        return F.max_pool1d(x, 3, 2).transpose(1, 2)
