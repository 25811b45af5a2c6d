"""A context as one attention reads it, made once for all the steps that will look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.attention.scores import Score


@dataclass(frozen=True, eq=False)
class Memory:
    """What `Attention.remember(context)` gives, to be handed over in place of the context.

    A decoder that steps along its target asks the same keys again and again. What depends on them alone stands here: their
    projection, what the score makes of them (Bahdanau's U_a h_j, Luong's W h_j), which of them are tokens. Unlike a cache it
    carries gradients.

    k: [B, H_kv, K, D'], as `score` compares them; zeros where no token is. v: [B, H_kv, K, Dv], likewise. score: what compares
    queries with these keys. k_pos: [B, K], their places, -1 for what is no token; None where all are. k_seen: which are tokens,
    [B, 1, 1, K].
    """

    k: Tensor
    v: Tensor
    score: Score
    k_pos: Tensor | None = None
    k_seen: Tensor | None = None

    def __len__(self) -> int:
        """How many samples."""
        return len(self.k)

    def select(self, index: Tensor) -> Memory:
        """Sample i is what sample index[i] was: index [B'], as beams need it."""
        names = ("k", "v", "k_pos", "k_seen")
        rows = {name: x.index_select(0, index) for name in names if (x := getattr(self, name)) is not None}
        return replace(self, **rows)

    def repeat(self, n: int) -> Memory:
        """For n rows a sample, which stand together, as its beams do: their tokens are further queries of it as it is."""
        return self


def places_of(k: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Places of keys [B, H_kv, K, D]: counted from 0, -1 for what is no token; None where all are tokens.

    Args:
        lengths: [B], tokens of each sample, which stand first; or
        mask: [B, K] bool, True = a token, on whichever side the padding stands.

    Raises: ZooError for both, or shapes that do not fit.
    """
    B, K = k.shape[0], k.shape[2]
    order = torch.arange(K, device=k.device)
    if lengths is not None:
        if mask is not None:
            raise ZooError("lengths and mask say the same, which keys are tokens: give one of them.")
        if lengths.shape != (B,):
            raise ZooError(f"lengths is one number a sample, [{B}]; got {list(lengths.shape)}.")
        return torch.where(order < lengths.to(order.device)[:, None], order, -1)
    if mask is None:
        return None
    if mask.shape != (B, K) or mask.dtype != torch.bool:
        raise ZooError(
            f"mask says of each key whether it is a token, bool [{B}, {K}]; got {mask.dtype} {list(mask.shape)}."
        )
    return torch.where(mask, mask.cumsum(1) - 1, -1)
