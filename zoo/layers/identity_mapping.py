"""Identity mapping, what lets a graph network be deep: each layer's matrix is a small step away from the identity."""

import torch
from torch import Tensor

from zoo.attention import Linear, SharedQKV
from zoo.attention.ops.product import linear
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class IdentityMappedQKV(SharedQKV):
    """q = k = v = ((1 - beta) I + beta W) x where the width stays the same; W x where it changes (the first and last layer).

    With the skip `InitialResidual(alpha)` a layer is GCNII's (Chen et al. 2020, arXiv 2007.02133) with attention weights P in
    place of the normalised adjacency, and the first layer's output outside the map:

        h_l = act((1 - alpha) P h_{l-1} ((1 - beta) I + beta W_l) + alpha h_1)

    Theirs falls with depth, beta_l = log(lambda / l + 1); this one is the same in every layer.

    Args:
        dim: width of x.
        num_heads, head_dim: of q; the map is of one width where num_heads x head_dim = dim.
        beta: 0 (no matrix at all) to 1 (as SharedQKV).
        bias: whether W x has one.
        context_dim: as of SharedQKV; a context's own map is W x.

    Raises:
        ZooError: beta outside 0 to 1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int,
        beta: float = 0.1,
        bias: bool = False,
        context_dim: int | None = None,
    ):
        super().__init__(dim, num_heads, head_dim, bias, context_dim)
        if not 0 <= beta <= 1:
            raise ZooError(f"beta is the share of W in the map, 0 to 1; got {beta}.")
        if dim == num_heads * head_dim:
            self.map = IdentityMappedLinear(dim, beta, bias)


class IdentityMappedLinear(Linear):
    """((1 - beta) I + beta W) x + b, [..., dim] -> [..., dim]. W starts and is regularised as that of any linear map."""

    def __init__(self, dim: int, beta: float, bias: bool = False):
        super().__init__(dim, dim, bias)
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        identity = torch.eye(self.in_features, dtype=self.weight.dtype, device=self.weight.device)
        return linear(x, torch.lerp(identity, self.weight, self.beta), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, beta={self.beta}"
