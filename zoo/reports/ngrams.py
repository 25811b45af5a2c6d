"""Byte n-grams, interpolated as Witten and Bell (1991, method C) have it: what counting alone says of the next byte.

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h)),      p(w | nothing) = 1 / 256

h: the n - 1 bytes before w, h' without the first of them; c counts what the training texts hold, T(h) how many different bytes
followed h there. After an h that was never seen p(w | h) = p(w | h'). A text does not see the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

ORDERS = 6  # a context and its byte must fit into 64 bits: 8 at most


@dataclass(frozen=True)
class _Table:
    """Counts of one order: of what was seen (sorted), and of the contexts (sorted): how often, and how many bytes after it."""

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    followers: np.ndarray


class WittenBell:
    """Counts of orders 1 to `orders` (a byte behind 0 to orders - 1 others).

    Args:
        texts: what is counted.
        orders: n of the longest n-gram, at most 8.
    """

    def __init__(self, texts: Iterable[str | bytes], orders: int = ORDERS):
        if not 1 <= orders <= 8:
            raise ValueError(f"orders={orders} is not within 1 to 8.")
        data, place = _placed(texts)
        self.tables = [_count(gram[place >= k]) for k, gram in enumerate(_grams(data, orders))]

    def bits(self, texts: Iterable[str | bytes]) -> tuple[list[float], int]:
        """(bits of the texts under each order, 1 first; their bytes)."""
        data, place = _placed(texts)
        p, found = np.full(len(data), 1 / 256), []
        for k, (table, gram) in enumerate(zip(self.tables, _grams(data, len(self.tables)), strict=True)):
            c, total, followers = _look(table, gram)
            seen = (place >= k) & (total > 0)
            p = np.where(seen, (c + followers * p) / np.maximum(total + followers, 1), p)
            found.append(float(-np.log2(p).sum()))
        return found, len(data)


def _placed(texts: Iterable[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(all bytes, how many of its own text stand before each)."""
    parts = [text.encode() if isinstance(text, str) else bytes(text) for text in texts]
    data = np.frombuffer(b"".join(parts), np.uint8)
    place = np.concatenate([np.arange(len(part)) for part in parts]) if parts else np.zeros(0, int)
    return data, place


def _grams(data: np.ndarray, orders: int) -> Iterable[np.ndarray]:
    """For k = 0, 1, ...: a number of each byte and the k before it, the byte itself in the lowest 8 bits."""
    gram = data.astype(np.uint64)
    for k in range(orders):
        if k:
            gram[k:] |= data[:-k].astype(np.uint64) << np.uint64(8 * k)
        yield gram.copy()


def _count(grams: np.ndarray) -> _Table:
    grams, counts = np.unique(grams, return_counts=True)
    contexts, first, followers = np.unique(grams >> np.uint64(8), return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, first) if len(counts) else counts
    return _Table(grams, counts, contexts, totals, followers)


def _look(table: _Table, grams: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(c(h w), c(h), T(h)) of each, 0 for what was never seen."""
    (c,) = _found(table.grams, grams, table.counts)
    total, followers = _found(table.contexts, grams >> np.uint64(8), table.totals, table.followers)
    return c, total, followers


def _found(known: np.ndarray, wanted: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    if not len(known):
        return [np.zeros(len(wanted), np.int64) for _ in values]
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return [np.where(known[at] == wanted, value[at], 0) for value in values]
