"""A model and what it has read so far: tokens in, logits out; with a cache, without one, or compiled."""

from collections.abc import Callable
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.generation.packed import ROWS, packed_of
from zoo.generation.prompts import Prompts

# Lengths of a compiled run's cache, so that prompts of about one length share their graphs: the powers of two from here.
SHORTEST = 64
BACKEND = "inductor"
COMPILE = signature(torch.compile).parameters
_compiled: WeakKeyDictionary[Any, Callable[..., Tensor]] = WeakKeyDictionary()


class Reader:
    """Reads a batch of texts, a few tokens at a time, and says what comes next.

    Args:
        model: has `forward_features`, `forward_head` and `new_cache`.
        batch: rows.
        length: tokens that will be read at most.
        steps: how often.
        cache: policy of `model.new_cache`; "none" reads everything again each time.
        chunk: tokens of the prompt that are read at once; None: all.
        compiled: whether a step is a compiled one. The prompt is read as it is: its products are large, and prompts of any
            length cost no compilation.

    Raises:
        ZooError: a chunk that is no positive number, or without a cache.
    """

    def __init__(
        self,
        model: Any,
        batch: int,
        length: int,
        steps: int = 0,
        *,
        cache: Any = "full",
        chunk: int | None = None,
        compiled: bool = False,
    ):
        if chunk is not None and (type(chunk) is not int or chunk < 1):
            raise ZooError(f"prefill_chunk is a number of tokens, at least 1, or None for all at once; got {chunk!r}.")
        self.model, self.chunk = model, chunk
        self.cache = None if cache == "none" else model.new_cache(batch, _bucket(length) if compiled else length, cache)
        if self.cache is None and (chunk or compiled):
            name = "prefill_chunk" if chunk else "compile=True"
            raise ZooError(f'{name} needs a cache to go on from, and cache="none" keeps none: leave one of them out.')
        self.compiled, self.read, self.reserved = compiled, 0, 0
        self.packed = packed_of(model, batch, steps)
        self.ids: Tensor | None = None  # all that was read, where there is no cache
        self.mask: Tensor | None = None

    @torch.no_grad()
    def prompt(self, prompts: Prompts) -> Tensor:
        """Read the prompts; logits [B, V] of what follows them."""
        ids, mask = prompts.ids, prompts.mask
        self.read = ids.shape[1]
        if self.cache is None:
            self.ids, self.mask = ids, mask
            return _logits(self.model, ids, mask, None, 1)[:, -1]
        size = self.chunk or ids.shape[1]
        for at in range(0, ids.shape[1] - size, size):
            self.model.forward_features(
                ids[:, at : at + size], None if mask is None else mask[:, at : at + size], cache=self.cache
            )
        at = (ids.shape[1] - 1) // size * size
        return _logits(self.model, ids[:, at:], None if mask is None else mask[:, at:], self.cache, 1)[:, -1]

    @torch.no_grad()
    def step(self, ids: Tensor) -> Tensor:
        """Read n further tokens [B, n] of each row; logits [B, n, V] behind each of them."""
        if self.packed is None or ids.numel() > ROWS:
            return self._step(ids)
        with self.packed.in_place():
            return self._step(ids)

    def _step(self, ids: Tensor) -> Tensor:
        self.read += ids.shape[1]
        if self.cache is None:
            assert self.ids is not None  # the prompt was read
            self.ids = torch.cat([self.ids, ids], 1)
            if self.mask is not None:
                self.mask = torch.cat([self.mask, torch.ones_like(ids, dtype=torch.bool)], 1)
            return _logits(self.model, self.ids, self.mask, None, ids.shape[1])
        if self.compiled and ids.shape[1] == 1:
            if self.read > self.reserved:  # the cache then reads twice as many slots, in a graph of its own
                self.cache.reserve(_bucket(self.read) - self.read + 1)
                self.reserved = _bucket(self.read)
            ids = ids.clone(memory_format=torch.contiguous_format)  # strides of what it was cut from would be graphs
            return _compiled_step(self.model)(self.model, ids, self.cache)
        return _logits(self.model, ids, None, self.cache, ids.shape[1])

    def rewind(self, n: int) -> None:
        """Forget the last n tokens of each row."""
        if n == 0:
            return
        self.read -= n
        if self.cache is not None:
            self.cache.rewind(n)
            return
        assert self.ids is not None
        self.ids, self.mask = self.ids[:, :-n], None if self.mask is None else self.mask[:, :-n]

    def reorder(self, index: Tensor) -> None:
        """Row i is now what row index[i] was; as many rows as before."""
        if self.cache is not None:
            self.cache.reorder(index)
            return
        assert self.ids is not None
        self.ids, self.mask = self.ids[index], None if self.mask is None else self.mask[index]


def _logits(model: Any, ids: Tensor, mask: Tensor | None, cache: Any, last: int) -> Tensor:
    """Logits [B, last, V] of the last positions alone: the head is a large part of a small model's work."""
    hidden = model.forward_features(ids, mask) if cache is None else model.forward_features(ids, mask, cache=cache)
    return model.forward_head(hidden[:, -last:])


def _step(model: Any, ids: Tensor, cache: Any) -> Tensor:
    return model.forward_head(model.forward_features(ids, cache=cache))


def _compiled_step(model: Any) -> Callable[..., Tensor]:
    """One for each model, kept as long as it, so that the next text needs no compilation."""
    if model not in _compiled:
        # limits of its own for each model; torch before 2.10 has one for all
        own: dict[str, Any] = (
            {"isolate_recompiles": True, "recompile_limit": 64} if "isolate_recompiles" in COMPILE else {}
        )
        _compiled[model] = torch.compile(_step, fullgraph=True, dynamic=False, backend=BACKEND, **own)
    return _compiled[model]


def _bucket(length: int) -> int:
    return max(SHORTEST, 1 << (length - 1).bit_length())
