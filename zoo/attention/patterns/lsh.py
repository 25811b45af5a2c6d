"""LSH: keys that fall into the query's bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zoo.attention.ops.words import normals, words
from zoo.attention.patterns.base import Pattern, whole_number
from zoo.declared import declared

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall


@declared
@dataclass(frozen=True)
class LSH(Pattern):
    """Query i sees key j where some round of random rotations puts both into one bucket, and it sees itself.

        bucket_r(x) = argmax([x R_r ; -x R_r]),   R_r of D rows and b/2 columns, normally distributed

    with b buckets, the even number from K / bucket up; a sequence that fits one bucket is seen whole. Kitaev et al. 2020
    (Reformer), section 2; Andoni et al. 2015. Which keys are chosen has no gradient.

    The rotations are shared by queries and keys, by heads and by the samples of a batch: in evaluation a function of (seed, K,
    D), in training drawn anew for each call. K counts padding too, so a padded row is not what it is alone. A choice is made
    among the keys that the rest of the pattern allows; a query of another sequence (a context) that shares no bucket with any
    key sees nothing and gives 0.

    Departures from Reformer: queries and keys stay two projections; buckets are compared as they are, not sorted and cut into
    chunks of one size, so nobody's neighbours depend on how full a bucket is; itself counts like other keys.

    Args:
        rounds: of hashing; more find more of the near keys.
        bucket: how many keys a bucket has on the average.
        seed: of the rotations.

    Raises:
        ZooError: sizes below 1; one step of a cached sequence (the buckets go by its length).
    """

    rounds: int = 4
    bucket: int = 64
    seed: int = 0
    uses_query: ClassVar[bool] = False
    needs_whole: ClassVar[bool] = True
    by_chance: ClassVar[bool] = True

    def __post_init__(self):
        whole_number("LSH(rounds)", self.rounds, least=1)
        whole_number("LSH(bucket)", self.bucket, least=1)
        whole_number("LSH(seed)", self.seed)

    def rotations(self, call: AttentionCall) -> Tensor | None:
        """[D, rounds, b/2] float32; None where one bucket holds all."""
        K, D = call.k.shape[2:]
        if self.bucket >= K:
            return None
        size = (D, self.rounds, math.ceil(K / (2 * self.bucket)))
        drawn = normals(words(self.seed, 2 * math.prod(size), call.draw, call.q.device))
        return drawn.view(size).float()

    @torch.no_grad()
    def buckets(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """The bucket of each vector in each round: [B, H, N, D] -> [B, H, N, rounds]."""
        if rotations is None:
            return torch.zeros(*x.shape[:3], self.rounds, dtype=torch.long, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.promote_types(x.dtype, torch.float32)
            turned = torch.einsum("bhnd,drm->bhnrm", x.to(wide), rotations.to(wide))
        return torch.cat([turned, -turned], -1).argmax(-1)

    @torch.no_grad()
    def chosen(self, call: AttentionCall) -> Tensor:
        """[B, H, Q, K]: true where a query sees a key."""
        rotations = self.rotations(call)
        of_q, of_k = self.buckets(call.q, rotations), call.repeat_kv(self.buckets(call.k, rotations))
        chosen = torch.zeros((), dtype=torch.bool, device=of_q.device)
        for r in range(self.rounds):
            chosen = chosen | (of_q[..., r, None] == of_k[..., None, :, r])
        if not call.crosses:
            _, _, q, k = call.index_grid()
            chosen = chosen | (q == k)
        return chosen

    def edit(self, logits, call):
        return logits.masked_fill(~self.chosen(call), -torch.inf)
