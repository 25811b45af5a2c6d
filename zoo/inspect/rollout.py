"""How much of each input token reaches each output token, following attention through all layers."""

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.errors import ZooError


def rollout(maps: Iterable[Tensor], residual: float = 0.5) -> Tensor:
    """R = A_L ... A_2 A_1 with A_l = residual I + (1 - residual) mean_h W_l, its rows scaled to sum to 1.

    Abnar and Zuidema 2020, section 3 (residual = 0.5 there, for the skip connection). Take weights before dropout, as
    `record_attention` gives them; the last rows and columns are tokens in the model's order, class and registers first:

        with record_attention(model) as maps:
            model(x)
        seen = rollout(maps.values())[:, 0, model.num_prefix_tokens:]     # what the class token reads of each patch

    Args:
        maps: weights [B, H, N, N] of each layer, first layer first.
        residual: the share of the skip connection, in [0, 1].

    Returns: [B, N, N], non-negative, rows sum to 1.
    Raises: ZooError if there are no maps, or they are not square and of one size.
    """
    if not 0 <= residual <= 1:
        raise ZooError(f"residual={residual} is a share: give 0 to 1.")
    whole = None
    for weights in maps:
        if weights.ndim != 4 or weights.shape[2] != weights.shape[3] or (whole is not None and _differ(weights, whole)):
            sizes = list(weights.shape)
            raise ZooError(f"rollout follows self-attention [B, H, N, N] of one size in all layers; got {sizes}.")
        one = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        mixed = residual * one + (1 - residual) * weights.mean(1)
        # A query without keys has an empty row: all that it holds is what the skip connection brought.
        mixed = torch.where(mixed.sum(-1, keepdim=True) > 0, mixed, one)
        mixed = mixed / mixed.sum(-1, keepdim=True)
        whole = mixed if whole is None else mixed @ whole
    if whole is None:
        raise ZooError("rollout got no maps; record some with record_attention(model).")
    return whole


def _differ(weights: Tensor, whole: Tensor) -> bool:
    return (weights.shape[0], *weights.shape[2:]) != tuple(whole.shape)
