"""Answers as stretches of a text: the tokens of characters, and long texts in overlapping windows beside a question."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.text.base import Located, Tokenizer


def tokens_of(located: Located, start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token of the characters start to end - 1: the least that hold all of them of which there are
    tokens. None where the tokenizer makes nothing of them."""
    first = int(np.searchsorted(located.ends, start, "right"))
    last = int(np.searchsorted(located.starts, end, "left")) - 1
    return (first, last) if first <= last else None


@dataclass(frozen=True, eq=False)
class Windows:
    """A question beside each of the overlapping windows of a context: a model's rows.

        [bos] question [eos] window [eos]

    rows: the ids of each. context: how many tokens of a row are the question's and the special ones before the window.
    row, column: [L], where each token of the context is asked: in the window in which it stands farthest from both ends
    (Devlin et al. 2019, their code: "max context"), so that each is asked once.
    """

    rows: list[np.ndarray]
    before: int
    row: np.ndarray
    column: np.ndarray


def windows(
    tokenizer: Tokenizer, question: Sequence[int], context: np.ndarray, size: int, stride: int | None
) -> Windows:
    """The rows of a question.

    Args:
        tokenizer: has a token that ends a text.
        question, context: ids.
        size: tokens of a row, at most.
        stride: tokens from the start of a window to that of the next; None, or more than keeps every token in a window: half
            of a window.
    """
    begin = [] if tokenizer.bos is None else [tokenizer.bos]
    head = np.array([*begin, *question, tokenizer.eos], np.int64)
    room = size - len(head) - 1
    starts = window_starts(len(context), room, max(1, room // 2) if stride is None else min(stride, room))
    rows = [np.concatenate([head, context[at : at + room], [tokenizer.eos]]) for at in starts]
    at, first = np.arange(len(context)), np.array(starts)[:, None]
    last = np.minimum(first + room, len(context)) - 1
    row = np.minimum(at - first, last - at).argmax(0)
    return Windows(rows, len(head), row, len(head) + at - first[row, 0])


def window_starts(length: int, room: int, stride: int) -> list[int]:
    """Where windows of `room` tokens begin, `stride` from one to the next, so that the last reaches the end."""
    return list(range(0, max(length - room, 0) + stride, stride)) if length > room else [0]


def room_for(tokenizer: Tokenizer, question: Sequence[int], size: int) -> int:
    """The tokens of a context that a row of `size` holds beside a question."""
    return size - len(question) - 2 - (tokenizer.bos is not None)


def stacked(found: Sequence[Windows], pad: int) -> dict[str, np.ndarray]:
    """The rows of several questions as one batch.

    Returns: ids [R, N], mask [R, N] bool, segments [R, N] (0: the question, 1: the context), question [R] (which each row is
    of), and places [B, L]: of each token of a question's context the index into the R N tokens of the rows, -1 behind its end.
    """
    rows = [row for each in found for row in each.rows]
    before = [each.before for each in found for _ in each.rows]
    counts = [len(each.rows) for each in found]
    lengths = np.array([len(row) for row in rows])
    width = int(lengths.max())
    ids = np.full((len(rows), width), pad, np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    at = np.arange(width)
    first = np.cumsum([0, *counts])
    places = np.full((len(found), max(len(each.row) for each in found)), -1, np.int64)
    for i, each in enumerate(found):
        places[i, : len(each.row)] = (first[i] + each.row) * width + each.column
    return {
        "ids": ids,
        "mask": at < lengths[:, None],
        "segments": ((at >= np.array(before)[:, None]) & (at < lengths[:, None])).astype(np.int64),
        "question": np.repeat(np.arange(len(found)), counts),
        "places": places,
    }
