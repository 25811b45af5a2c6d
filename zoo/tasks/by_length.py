"""How good what was said is, by the length of what it was said for: where one vector is too narrow, long sources show it.

Rows are those of `predictions.jsonl`: {"source", "references", "prediction"}.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from zoo.tasks.bleu import bleu

Rows = Sequence[Mapping[str, Any]]
#: Words of a source, from and to.
BINS = ((0, 7), (8, 9), (10, 11), (12, 14), (15, 18), (19, None))
MOST = 20  # lengths of strings up to which each is a bin of its own


class Bin(NamedTuple):
    """Sources of a like length: label, the middle of their lengths, the rows."""

    label: str
    middle: float
    rows: Rows


class Score(NamedTuple):
    """value: BLEU, or the per cent that are exactly right. spread: half the width of its 95 % interval; None: not asked for."""

    value: float
    spread: float | None = None


def length(row: Mapping[str, Any], in_words: bool) -> int:
    """Words of the source, parted by blanks; of strings that are no words, letters."""
    return len(row["source"].split()) if in_words else len(row["source"])


def bins(rows: Rows, in_words: bool) -> list[Bin]:
    """The rows by length, shortest first; none is empty."""
    lengths = [length(row, in_words) for row in rows]
    if in_words:
        bounds: Sequence[tuple[int, int | None]] = BINS
    else:
        width = -(-len(set(lengths)) // MOST)
        bounds = [(first, first + width - 1) for first in range(min(lengths), max(lengths) + 1, width)]
    found = []
    for low, high in bounds:
        within = [i for i, n in enumerate(lengths) if low <= n and (high is None or n <= high)]
        if within:
            middle = sum(lengths[i] for i in within) / len(within)
            found.append(Bin(_label(low, high), middle, [rows[i] for i in within]))
    return found


def _label(low: int, high: int | None) -> str:
    if high is None:
        return f"≥ {low}"
    if low == 0:
        return f"≤ {high}"
    return str(low) if low == high else f"{low}-{high}"


def score(rows: Rows, in_words: bool, resamples: int = 0) -> Score:
    """BLEU of words, the per cent of exact matches of others.

    Args:
        rows: one or more.
        in_words: whether BLEU means something.
        resamples: of the rows, for the interval; always the same ones. 0: no interval.
    """
    if in_words:
        found = bleu([row["prediction"] for row in rows], [row["references"] for row in rows], resamples=resamples)
        return Score(found.score, found.spread)
    right = torch.tensor([100.0 * (row["prediction"] in row["references"]) for row in rows], dtype=torch.float64)
    if not resamples:
        return Score(float(right.mean()))
    drawn = torch.randint(len(right), (resamples, len(right)), generator=torch.Generator().manual_seed(0))
    low, high = right[drawn].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Score(float(right.mean()), (high - low) / 2)


def quality(in_words: bool) -> str:
    """What `score` is called."""
    return "BLEU" if in_words else "exactly right (%)"
