"""Windows of a series to tokens, a patch of steps each, and the norm that stands between them."""

import torch
from torch import Tensor, nn

from zoo.declared import declared
from zoo.errors import ZooError


class SeriesPatches(nn.Module):
    """Patches of each channel, each through a linear map: [B, L, C] -> [B, C, N, dim].

        N = floor((L - P) / S) + 1, one more with end padding;    token_n = W x[start + n S ... start + n S + P - 1] + b

    The newest value always counts: with end padding (the last value repeated S times) the last patch reaches beyond it, and
    without, patches are counted from the end and the oldest (L - P) mod S values are left out. (The reference leaves out the
    newest ones there: bug 18.)

    Args:
        lookback: L, steps of a window.
        patch, stride: P and S, steps; stride = patch for patches that do not overlap.
        dim: width of a token.
        channels: C.
        end_padding: Nie et al. 2023, section 3.1.
        shared: one map for all channels, or one each.

    Raises: ZooError for a lookback shorter than a patch, sizes below 1.
    """

    def __init__(
        self,
        lookback: int,
        patch: int,
        stride: int,
        dim: int,
        channels: int,
        end_padding: bool = True,
        shared: bool = True,
    ):
        super().__init__()
        if min(patch, stride, dim) < 1:
            raise ZooError(f"Sizes of patches are positive; got {patch=}, {stride=}, {dim=}.")
        if lookback < patch:
            raise ZooError(
                f"A lookback of {lookback} steps is shorter than a patch of {patch}: lengthen data.lookback, or shorten "
                "model.patch."
            )
        self.lookback, self.patch, self.stride, self.channels = lookback, patch, stride, channels
        self.count = (lookback - patch) // stride + 1 + end_padding
        self.padding = stride if end_padding else 0
        self.start = 0 if end_padding else (lookback - patch) % stride
        if shared:
            self.proj: nn.Module = nn.Linear(patch, dim)
        else:
            self.proj = ChannelLinear(channels, patch, dim)

    def cut(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [B, C, N, P], a view where it can be; of a mask too."""
        x = x[:, self.start :].transpose(1, 2).contiguous()
        if self.padding:
            x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], self.padding)], -1)
        return x.unfold(-1, self.patch, self.stride)

    def forward(self, patches: Tensor) -> Tensor:
        """What `cut` gives, [B, C, N, P] -> tokens [B, C, N, dim]."""
        return self.proj(patches)


class ChannelLinear(nn.Module):
    """A linear map for each channel: [B, C, N, in] -> [B, C, N, out]."""

    def __init__(self, channels: int, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(channels, out_features))
        bound = in_features**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bcni,coi->bcno", x, self.weight) + self.bias.unsqueeze(1)


@declared
class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm of a token's numbers over all tokens of all samples: [..., dim], whatever stands before the width.

    In place of the layer norm of other transformers: Zerveas et al. 2021, section 3.1; PatchTST. In eval mode by the running
    statistics, so that a window's forecast does not depend on its batch (E2).
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


__all__ = ["ChannelLinear", "SeriesPatches", "TokenBatchNorm"]
