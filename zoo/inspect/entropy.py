"""How widely a head looks."""

import torch
from torch import Tensor


def head_entropy(weights: Tensor) -> Tensor:
    """-sum_j w_j log w_j of each query, in nats, meant over the queries: [B, H, Q, K] -> [B, H].

    0: each query reads one key; log K: all alike. A query that may see no key counts as 0.
    """
    wide = weights.to(torch.promote_types(weights.dtype, torch.float32))
    return torch.special.entr(wide).sum(-1).mean(-1)
