"""A static cache of keys and values: one buffer for the whole generation, so that a compiled step stays one graph."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.attention.ops.constant import refusing
from zoo.attention.patterns import Full, Pattern
from zoo.errors import ZooError

#: A compiled step reads so many slots, or twice, four times, ... as many: a new graph each time it doubles.
BUCKET = 64
FULL = Full()


class Slots(NamedTuple):
    """What new queries attend to: keys and values [B, H_kv, K, D], their places [B, K] or [B, H_kv, K] and the queries'
    [B, Q] (None: the keys are 0..K-1, the queries the last of them), and a pattern that is AND-ed to the layer's."""

    k: Tensor
    v: Tensor
    k_pos: Tensor | None = None
    q_pos: Tensor | None = None
    pattern: Pattern = FULL


class KVCache(nn.Module):
    """Keys and values of one Attention, [batch, num_kv_heads, length, head_dim], and the place of each slot.

    Tokens are written to the slots in the order in which they come. A slot without a token (not yet written, padding) has
    place -1, which hides it, and holds zeros. `places` [B, L] are a row's own: where rows are padded, slot and place differ.

    What is read is what is filled: that many slots, or while compiling the bucket that `reserve` set (all without it: shapes
    may not depend on values there). `ring=True` overwrites the oldest slots when it is full: for patterns that look back a
    bounded way, Window(size) with size <= length. Without it, a write beyond the end raises ZooError.

    What is kept has no gradient. A backward pass that would go through keys and values written with one raises ZooError;
    what was written under torch.no_grad() is a constant.

    Args:
        batch, num_kv_heads, length, head_dim: sizes of the two buffers.
        dtype, device: theirs; what is handed out has the dtype of the new keys.
        ring: whether the oldest are overwritten.
    """

    k: Tensor
    v: Tensor
    _places: Tensor
    _end: Tensor
    _slot: Tensor
    #: Whether `observe` wants the weights of each call (caches that go by them).
    wants_weights = False

    def __init__(
        self,
        batch: int,
        num_kv_heads: int,
        length: int,
        head_dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        ring: bool = False,
    ):
        super().__init__()
        if min(batch, num_kv_heads, length, head_dim) < 1:
            raise ZooError(f"A cache needs positive sizes; got {(batch, num_kv_heads, length, head_dim)}.")
        self.length, self.ring = length, ring
        with torch.inference_mode(False):  # a cache that was made within it serves outside too (E11)
            self._make((batch, num_kv_heads, length, head_dim), dtype, device)
            self._hold("_places", torch.full((batch, length), -1, device=device))
            self._hold("_end", torch.zeros(batch, dtype=torch.long, device=device))
            self._hold("_slot", torch.zeros((), dtype=torch.long, device=device))
        self.context_length: int | None = None  # of a cross-attention: the context is projected once
        self.answered = False  # whether queries have looked at that context before
        self.cut = False  # whether something was written that asked for a gradient
        self._forget()

    def _make(self, shape: tuple[int, ...], dtype: torch.dtype | None, device: torch.device | str | None) -> None:
        self._hold("k", torch.zeros(shape, dtype=dtype, device=device))
        self._hold("v", torch.zeros(shape, dtype=dtype, device=device))

    def _hold(self, name: str, buffer: Tensor) -> None:
        self.register_buffer(name, buffer, persistent=False)

    def _forget(self) -> None:
        self.empty = True
        self.ordered = True  # slot i is place i in every row: then no mask is needed for what is filled
        self._unnoted = 0  # tokens of a row that follow in that order, and that places, end and slot do not tell yet
        self.bucket: int | None = None  # slots that a compiled step reads
        self._written, self._stale = 0, False  # tokens written, unless a compiled step has counted on in `slot` alone

    def stores(self) -> list[Tensor]:
        """The buffers with a row for each slot, [B, H_kv, L, *]."""
        return [self.k, self.v]

    @property
    def written(self) -> int:
        """How many tokens (padding too) were written a row; a ring may have lost the first."""
        if self._stale:
            self._written, self._stale = int(self.slot), False
        return self._written

    @property
    def filled(self) -> int:
        """How many slots are in use."""
        return min(self.written, self.length)

    @property
    def nbytes(self) -> int:
        """The memory it takes, filled or not."""
        return sum(x.nbytes for x in self.buffers())

    @property
    def places(self) -> Tensor:
        """The place of each slot, [B, L]; -1: no token."""
        self._note_places()
        return self._places

    @property
    def end(self) -> Tensor:
        """The next place of each row, [B]."""
        self._note_places()
        return self._end

    @property
    def slot(self) -> Tensor:
        """The next slot, for compiled steps."""
        self._note_places()
        return self._slot

    def _note_places(self) -> None:
        if n := self._unnoted:
            upto, self._unnoted = self._written, 0
            self._places[:, upto - n : upto] = torch.arange(upto - n, upto, device=self._places.device)
            self._end += n
            self._slot += n

    def reset(self) -> None:
        """Forget everything."""
        self._clear(0)
        self.end.zero_()
        self.slot.zero_()
        self.context_length, self.answered, self.cut = None, False, False
        self._forget()

    def reorder(self, index: Tensor) -> None:
        """Row b goes on from what row index[b] had: index [B], as beams do."""
        if index.shape != self._end.shape:  # of which nothing need be noted
            raise ZooError(
                f"The cache has {len(self._end)} rows; an order of them is [{len(self._end)}], got {list(index.shape)}."
            )
        rows = [self.places, self.end] if not self.ordered else []
        for x in [*(x[:, :, : self.filled] for x in self.stores()), *rows]:
            x.copy_(x.index_select(0, index))

    def rewind(self, n: int) -> None:
        """Forget the last n tokens written (padding counts).

        Raises: ZooError for more than were written, and where a ring has overwritten what was before them.
        """
        if not 0 <= n <= self.written:
            raise ZooError(f"The cache holds {self.written} tokens: it cannot forget the last {n}.")
        if n and self.written > self.length:
            raise ZooError(
                f"A ring of {self.length} has overwritten what came before: it cannot forget the last {n}. Take a full cache."
            )
        start = self.written - n
        self._clear(start)
        self.end.copy_(self.places.flatten(1).amax(1) + 1)
        self.slot.fill_(start)
        self._written, self.empty, self.ordered = start, start == 0, self.ordered or start == 0

    def _clear(self, start: int) -> None:
        for x in self.stores():
            x[:, :, start : self.filled] = 0
        self.places[..., start:] = -1

    def reserve(self, n: int) -> None:
        """Say that n tokens more will be written: compiled steps then read a bucket with room for them, and no more. To be
        called outside of what is compiled; writing more than was reserved raises an index error there.

        Raises: ZooError where they do not fit.
        """
        self._note_places()  # a compiled step goes by them
        if not self.ring:
            self._check_room(n)
            room, bucket = self.written + n, BUCKET
            while bucket < room:
                bucket *= 2
            self.bucket = min(bucket, self.length)

    def next_places(self, n: int) -> Tensor:
        """The places [B, n] of the next n tokens of each row."""
        return self.end.unsqueeze(1) + torch.arange(n, device=self.end.device)

    def append(self, k: Tensor, v: Tensor, places: Tensor | None = None) -> Slots:
        """Write [B, H_kv, n, D] at `places` [n] or [B, n] (-1: no token), by default the next ones; what to attend to."""
        n, compiling = k.shape[2], torch.compiler.is_compiling()
        self._check(k, n)
        if self.ordered and places is None and not (compiling or self.ring or self.empty):
            return self._follow(k, v)
        slot, first, around = self._next_slots(n, compiling), self.empty, None
        if not (compiling or self.ring) and self.ordered and places is None:
            q_pos = slot.expand(k.shape[0], n)
            self._note(k, v)
        else:
            q_pos, k, v = self._placed(k, v, places)
        if self.ring and n > 1:  # before the last of them overwrite what the first of them see
            around = self._around(k, v, q_pos, first and places is None)
        kept = slice(max(0, n - self.length), None)  # of a ring
        self._write(slot[kept], k[:, :, kept].detach(), v[:, :, kept].detach())
        self.places.index_copy_(1, slot[kept], q_pos[:, kept])
        self._count(n, q_pos, places is None, compiling)
        if around is not None:
            return around
        ordered = first and places is None if compiling else self.ordered and self.written <= self.length
        upto = n if first else (self.bucket or self.length) if compiling else self.filled
        seen = self.read(k, upto)
        return Slots(*seen) if ordered else Slots(*seen, self.places[:, :upto], q_pos)

    def _follow(self, k: Tensor, v: Tensor) -> Slots:
        """Write tokens that follow in every row; that is noted when somebody asks."""
        self._note(k, v)
        start, n = self.written, k.shape[2]
        self._write(slice(start, start + n), *(x.detach() if x.requires_grad else x for x in (k, v)))
        self._written, self._unnoted = start + n, self._unnoted + n
        return Slots(*self.read(k, start + n))

    def _placed(self, k: Tensor, v: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The places [B, n] of new tokens, and their keys and values, zeros for what is no token."""
        self._note(k, v)
        if places is None:
            return self.next_places(k.shape[2]), k, v
        places = places.expand(k.shape[0], k.shape[2]).to(self.places.dtype)
        token = (places >= 0)[:, None, :, None]
        return places, torch.where(token, k, 0), torch.where(token, v, 0)

    def _note(self, k: Tensor, v: Tensor) -> None:
        if torch.is_grad_enabled() and (k.requires_grad or v.requires_grad):
            self.cut = True

    def _next_slots(self, n: int, compiling: bool) -> Tensor:
        if not compiling:
            slot = torch.arange(self.written, self.written + n, device=self.slot.device)
        else:
            slot = self.slot + torch.arange(n, device=self.slot.device)
        if self.ring:
            return slot % self.length
        if compiling and self.bucket is not None:  # beyond the bucket is beyond the end: index_copy_ refuses
            return torch.where(slot < self.bucket, slot, self.length)
        return slot

    def _count(self, n: int, places: Tensor, follow: bool, compiling: bool) -> None:
        if compiling:
            self._stale = True
        else:
            self._written = self.written + n
        self.slot.add_(n)
        if follow:
            self.end.add_(n)
        elif n:
            self.end.copy_(torch.maximum(self.end, places.amax(1) + 1))
            self.ordered = False
        self.empty = False

    def _around(self, k: Tensor, v: Tensor, q_pos: Tensor, ordered: bool) -> Slots:
        """What several new queries attend to in a ring: what it holds before them, and themselves."""
        k_pos = q_pos
        if not self.empty:
            k, v = (
                torch.cat([old.to(new.dtype), new], 2) for old, new in zip(self._read(self.length), (k, v), strict=True)
            )
            k_pos = torch.cat([self.places, q_pos], 1)
        seen = self._constants(k.detach(), v.detach(), k)
        return Slots(*seen) if ordered else Slots(*seen, k_pos, q_pos)

    def observe(self, weights: Tensor, q_pos: Tensor | None) -> None:
        """The weights [B, H, Q, K] of the call on what `append` gave last, where `wants_weights`."""

    def read(self, like: Tensor, upto: int | None = None) -> tuple[Tensor, Tensor]:
        """The first `upto` keys and values [B, H_kv, upto, D] (all), in the dtype of `like`, the new keys or queries."""
        k, v = self._read(self.length if upto is None else upto)
        return self._constants(k.to(like.dtype), v.to(like.dtype), like)

    def _constants(self, k: Tensor, v: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.cut and torch.is_grad_enabled():
            return refusing(k, like), refusing(v, like)
        return k, v

    def _write(self, slot: Tensor | slice, k: Tensor, v: Tensor) -> None:
        put(self.k, slot, k)
        put(self.v, slot, v)

    def _read(self, upto: int) -> tuple[Tensor, Tensor]:
        return self.k[:, :, :upto], self.v[:, :, :upto]

    def _check(self, k: Tensor, n: int) -> None:
        held = self.stores()[0].shape
        if k.shape[:2] != held[:2] or k.shape[3] != held[3]:
            raise ZooError(f"The cache holds {list(held)} [B, H_kv, length, D]; got keys {list(k.shape)}.")
        if self.ring:
            return
        if n > self.length:
            raise ZooError(f"{n} tokens at once do not fit a cache of {self.length}: make it longer.")
        if not torch.compiler.is_compiling():  # there index_copy_ refuses what lies outside
            self._check_room(n)

    def _check_room(self, n: int) -> None:
        if self.written + n > self.length:
            raise ZooError(
                f"The cache is full: {self.written} of {self.length} places are taken and {n} more came. "
                "Make it longer, or ring=True if the pattern is a window no longer than the cache."
            )

    def extra_repr(self) -> str:
        return f"{self.filled} of {self.length}{', a ring' if self.ring else ''}"


def put(store: Tensor, slot: Tensor | slice, x: Tensor) -> None:
    """Into slots [n], or those of a slice, of a store [B, H_kv, L, *]."""
    if isinstance(slot, slice):
        store[:, :, slot] = x
    else:
        store.index_copy_(2, slot, x.to(store.dtype))
