"""Caches of whole models, by a word: one cache a layer, with the same verbs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention.cache import KVCache
from zoo.attention.cache_bounded import HeavyHitterCache, SinkCache
from zoo.attention.cache_quantized import QuantizedCache
from zoo.errors import ZooError

Policy = str | Callable[..., KVCache] | None
POLICIES = ("none", "full", "window:N", "sinks:S+N", "heavy:H+N", "int8")


def make_cache(
    policy: Policy,
    batch: int,
    num_kv_heads: int,
    length: int,
    head_dim: int,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> KVCache | None:
    """The cache of one attention, for `length` tokens.

    Args:
        policy: "none" (or None): no cache. "full": every key. "window:N": the last N, as under `& Window(N)`. "sinks:S+N":
            the first S too, as under `& (Prefix(S) | Window(N))`. "heavy:H+N": in each head the H keys of largest summed weight
            and the last N. "int8": every key, rounded. Or a factory that takes the other arguments, dtype and device by name.

    Raises:
        ZooError: another word, or sizes that are not whole numbers.
    """
    sizes = (batch, num_kv_heads, length, head_dim)
    how: dict[str, Any] = dict(dtype=dtype, device=device)
    if policy is None or policy == "none":
        return None
    if callable(policy):
        return policy(*sizes, **how)
    if policy in ("full", "int8"):
        return (KVCache if policy == "full" else QuantizedCache)(*sizes, **how)
    if found := re.fullmatch(r"window:([1-9]\d{0,8})", policy):
        return SinkCache(batch, num_kv_heads, 0, int(found[1]), head_dim, **how)
    if found := re.fullmatch(r"(sinks|heavy):(\d{1,9})\+([1-9]\d{0,8})", policy):
        kind: Any = SinkCache if found[1] == "sinks" else HeavyHitterCache
        return kind(batch, num_kv_heads, int(found[2]), int(found[3]), head_dim, **how)
    raise ZooError(
        f"cache={policy!r} is none of {', '.join(POLICIES)} (S, H at least 0, N at least 1), and no factory."
    )


class ModelCache(nn.Module):
    """One cache a layer, in the order of the layers: `cache[i]` is layer i's. All were given the same tokens.

    Args:
        caches: the layers' caches.

    Raises:
        ZooError: none.
    """

    def __init__(self, caches: Iterable[KVCache]):
        super().__init__()
        self.layers = nn.ModuleList(caches)
        if not len(self.layers):
            raise ZooError("A model's cache needs the cache of a layer at least.")

    @classmethod
    def of(
        cls,
        attentions: Iterable[Any],
        batch: int,
        length: int,
        policy: Policy = "full",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> ModelCache | None:
        """A cache for `length` tokens of `batch` rows for each of a model's Attentions; None for policy "none"."""
        made = [make_cache(policy, batch, x.num_kv_heads, length, x.head_dim, dtype, device) for x in attentions]
        caches = [x for x in made if x is not None]
        return cls(caches) if caches else None

    def __getitem__(self, i: int) -> KVCache:
        return self.layers[i]  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[KVCache]:
        return iter(self.layers)  # type: ignore[arg-type]

    @property
    def length(self) -> int:
        """Slots of each layer."""
        return self[0].length

    @property
    def filled(self) -> int:
        """How many slots are in use."""
        return self[0].filled

    @property
    def written(self) -> int:
        """How many tokens were written a row."""
        return self[0].written

    @property
    def nbytes(self) -> int:
        """The memory that all layers take, filled or not."""
        return sum(x.nbytes for x in self)

    def next_places(self, n: int) -> Tensor:
        """The places [B, n] of the next n tokens of each row."""
        return self[0].next_places(n)

    def reset(self) -> None:
        """Forget everything."""
        for x in self:
            x.reset()

    def reorder(self, index: Tensor) -> None:
        """Row b goes on from what row index[b] had: index [B], as beams do."""
        for x in self:
            x.reorder(index)

    def rewind(self, n: int) -> None:
        """Forget the last n tokens written. Raises ZooError where a cache has let go of what came before."""
        for x in self:
            x.rewind(n)

    def reserve(self, n: int) -> None:
        """Say that n tokens more will be written: compiled steps then read a bucket with room for them, and no more. To be
        called outside of what is compiled, before the steps. Raises ZooError where they do not fit."""
        for x in self:
            x.reserve(n)
