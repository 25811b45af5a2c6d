"""Caches of a fixed size that choose what they keep: the first tokens and the last, or those that were looked at most."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.attention.cache import FULL, KVCache, Slots
from zoo.attention.patterns import Pattern, Prefix, Window
from zoo.attention.patterns.base import whole_number
from zoo.errors import ZooError


class BoundedCache(KVCache):
    """A cache whose slots hold what is worth most: define `worth`. Once it is full, a new token takes the slot that is
    worth least. Which one that is differs by row, and with `by_head` by key/value head too; so `places` are [B, P, L], with
    P = H_kv or 1.

    Several tokens at once (a prompt) see what was held before them and themselves, under `pattern`; then the slots keep the
    best of all these.
    """

    by_head = False

    def __init__(self, batch, num_kv_heads, length, head_dim, *, dtype=None, device=None):
        super().__init__(batch, num_kv_heads, length, head_dim, dtype=dtype, device=device, ring=True)
        with torch.inference_mode(False):
            self._hold("_places", torch.full((batch, num_kv_heads if self.by_head else 1, length), -1, device=device))

    def worth(self, places: Tensor, end: Tensor, *marks: Tensor) -> Tensor:
        """What tokens at these places are worth, [B, P, K] each and at least 0; the last one is at `end` - 1, [B, 1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a token is worth: define `worth`.")

    def pattern(self, n: int, first: bool) -> Pattern:
        """What n new queries, the first ones of all or not, see of the keys before them, if not all."""
        return FULL

    def marks(self) -> list[Tensor]:
        """What is kept of a token beside its key, value and place, [B, P, L]; 0 for a new one."""
        return []

    def stores(self):
        return [self.k, self.v, *self.marks()]

    def append(self, k, v, places=None):
        n, first, follow = k.shape[2], self.empty, places is None
        self._check(k, n)
        q_pos, k, v = self._placed(k, v, places)
        self._count(n, q_pos, follow, torch.compiler.is_compiling())
        new = [k.detach().to(self.k.dtype), v.detach().to(self.v.dtype)]
        new += [x.new_zeros(*x.shape[:2], n) for x in self.marks()]
        new.append(q_pos.unsqueeze(1).expand(-1, self.places.shape[1], -1))
        if n == 1:
            self._replace(new, follow)
            return Slots(*self.read(k), self._apart(self.places), q_pos)
        if not first:
            new = [torch.cat(pair, 2) for pair in zip([*self.stores(), self.places], new, strict=True)]
        self._keep(new, n)
        seen = self._constants(new[0].to(k.dtype), new[1].to(v.dtype), k)
        if first and follow:
            return Slots(seen[0], seen[1], pattern=self.pattern(n, first))
        return Slots(*seen, self._apart(new[-1]), q_pos, self.pattern(n, first))

    def _apart(self, places: Tensor) -> Tensor:
        return places if self.by_head else places[:, 0]

    def _replace(self, new: list[Tensor], follow: bool) -> None:
        """Put one token into the next slot, or into the one that is worth least; what is no token changes nothing."""
        slot = self.slot - 1
        slot = torch.where(slot < self.length, slot, self._worth(self.places, *self.marks()).argmin(-1, keepdim=True))
        token = new[-1] >= 0  # [B, P, 1]
        for store, x in zip([*self.stores(), self.places], new, strict=True):
            index = _index(slot, store)
            if not follow:
                x = torch.where(token.view(*token.shape, *[1] * (x.ndim - 3)), x, store.gather(2, index))
            store.scatter_(2, index, x)

    def _keep(self, seen: list[Tensor], n: int) -> None:
        """Keep the best of `seen`, stores and places of the slots (if any were in use) and of n tokens behind them; in the
        order in which they came."""
        places = seen[-1]
        index = torch.arange(places.shape[-1], device=places.device)
        old = len(index) - n
        used = (self.slot - n).clamp(max=old)  # of the old slots
        unused = (index >= used) & (index < old)
        came = torch.where(index < used, index, torch.where(unused, index + n, index - old + used))
        worth = self._worth(places, *seen[2:-1]).masked_fill(unused, -2)
        best = worth.topk(min(self.length, len(index)), -1).indices
        best = best.gather(-1, came[best].argsort(-1))
        for store, x in zip([*self.stores(), self.places], seen, strict=True):
            store[:, :, : best.shape[-1]] = x.gather(2, _index(best, x))

    def _worth(self, places: Tensor, *marks: Tensor) -> Tensor:
        return self.worth(places, self.end.view(-1, 1, 1), *marks).masked_fill(places < 0, -1)

    def reserve(self, n):
        """There is always room."""

    def rewind(self, n):
        """Forget the last n tokens written, as long as none gave way to others.

        Raises: ZooError from then on: what gave way is gone.
        """
        if n and self.written > self.length:
            raise ZooError(
                f"{type(self).__name__} has {self.length} slots and has let go of tokens: it cannot take back the last {n} "
                'and be as it was. Where tokens are taken back (speculation), take cache="full".'
            )
        super().rewind(n)


class SinkCache(BoundedCache):
    """The first `sinks` tokens and the last `window`: as under `& (Prefix(sinks) | Window(window))`, in that many slots.

    Xiao et al. 2024, section 3.2. Departure: places stay as they are (there, they are counted within the cache). sinks=0 is
    a sliding window.
    """

    def __init__(self, batch, num_kv_heads, sinks: int, window: int, head_dim, *, dtype=None, device=None):
        whole_number("SinkCache(sinks)", sinks)
        whole_number("SinkCache(window)", window, least=1)
        super().__init__(batch, num_kv_heads, sinks + window, head_dim, dtype=dtype, device=device)
        self.sinks, self.window = sinks, window

    def worth(self, places, end):
        return torch.where(places < self.sinks, places + end, places)

    def pattern(self, n, first):
        return FULL if first and n <= self.window else Prefix(self.sinks) | Window(self.window)


class HeavyHitterCache(BoundedCache):
    """In each key/value head the `heavy` keys of largest summed weight and the last `recent`. Zhang et al. 2023 (H2O),
    section 4.

    A key's sum is over the weights that all queries so far gave it, those of all query heads that read it. A key gives way
    before the new one is looked at, and does not come back: a step sees heavy + recent keys, its own included. A prompt
    sees all of itself.
    """

    by_head = True
    wants_weights = True
    sums: Tensor

    def __init__(self, batch, num_kv_heads, heavy: int, recent: int, head_dim, *, dtype=None, device=None):
        whole_number("HeavyHitterCache(heavy)", heavy)
        whole_number("HeavyHitterCache(recent)", recent, least=1)
        super().__init__(batch, num_kv_heads, heavy + recent, head_dim, dtype=dtype, device=device)
        self.heavy, self.recent = heavy, recent
        wide = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
        with torch.inference_mode(False):
            self._hold("sums", torch.zeros(self.places.shape, dtype=wide, device=device))
        self._seen: tuple[list[Tensor], int] | None = None  # between `append` and `observe`: what is to be chosen from

    def marks(self):
        return [self.sums]

    def worth(self, places, end, sums):
        return sums.masked_fill(places >= end - self.recent, torch.inf)

    def _keep(self, seen, n):
        self._seen = seen, n  # the weights are not known yet

    def rewind(self, n):
        """Refused: what each query added to the sums is not kept."""
        if n:
            raise ZooError(
                f"HeavyHitterCache keeps sums over queries, not what each of them added: it cannot take back the last {n}. "
                'Where tokens are taken back (speculation), take cache="full".'
            )

    def observe(self, weights, q_pos):
        by_kv = weights.unflatten(1, (self.k.shape[1], -1))  # [B, H_kv, G, Q, K]
        if q_pos is not None:
            by_kv = by_kv * (q_pos >= 0).view(len(q_pos), 1, 1, -1, 1)
        sums = by_kv.sum((2, 3)).to(self.sums.dtype)
        if self._seen is None:
            self.sums += sums
        else:
            (*seen, before, places), n = self._seen
            super()._keep([*seen, before + sums, places], n)
            self._seen = None


def _index(slot: Tensor, store: Tensor) -> Tensor:
    """Slots [B, P, m] as `gather` and `scatter_` want them along axis 2 of a store."""
    return slot if store.ndim == 3 else slot.unsqueeze(-1).expand(-1, store.shape[1], -1, store.shape[3])
