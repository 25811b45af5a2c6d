"""Rows of tokens: which stretch of a part each row of a batch holds, and batches made of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.sampling import BatchIndex, generator
from datamodules.text.batches import NOTHING, LabelledText, TextBatch
from datamodules.text.tokens import Tokens

#: (first token, tokens) of the stretches that a row holds.
Stretches = list[tuple[int, int]]


class Rows(ABC):
    """Which stretches of the tokens make a row. A kind says how many rows there are, and which of an epoch."""

    #: Documents of a row do not see each other, and their places begin anew.
    apart = False
    #: A row has the whole width, so that all batches have one shape.
    full = True

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, number: int, shift: int) -> Stretches:
        """The stretches of a row, `shift` tokens further on where the kind has that."""

    def shift(self, seed: int, epoch: int) -> int:
        """Of a training epoch."""
        return 0


class Stream(Rows):
    """All tokens as one stream, cut into windows of `width` tokens and the one after: each is asked for once.

    In training the cuts lie elsewhere in each epoch, so that every token is seen with more and less before it: a shift
    drawn by (seed, epoch), for which the last window is left out. In evaluation the windows stay where they are (bug 31) and
    the last is what is left over.
    """

    def __init__(self, tokens: Tokens, width: int, moving: bool):
        self.last, self.width = len(tokens) - 1, width  # the last token has none after it
        whole = self.last // width
        self.moving = moving and whole > 1
        self.count = whole - 1 if self.moving else -(-self.last // width)

    def __len__(self) -> int:
        return max(0, self.count)

    def shift(self, seed: int, epoch: int) -> int:
        if not self.moving:
            return 0
        room = self.last - self.count * self.width
        return int(torch.randint(room + 1, (), generator=generator(seed, epoch, 7)))

    def row(self, number: int, shift: int) -> Stretches:
        first = shift + number * self.width
        return [(first, min(self.width, self.last - first))]


class Packed(Rows):
    """Whole documents, several in a row where they fit, each for itself; one longer than a row goes on in another.

    Best fit, longest first; the same for every epoch.
    """

    apart = True

    def __init__(self, tokens: Tokens, width: int):
        firsts, lengths = _pieces(tokens.starts, width)
        rows = _best_fit(lengths, width)
        order = np.argsort(rows, kind="stable")
        self.firsts, self.lengths = firsts[order], lengths[order]
        self.bounds = np.searchsorted(rows[order], np.arange(rows.max(initial=-1) + 2))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def row(self, number: int, shift: int) -> Stretches:
        part = slice(self.bounds[number], self.bounds[number + 1])
        return list(zip(self.firsts[part].tolist(), self.lengths[part].tolist(), strict=True))


class Single(Rows):
    """A document a row; what is beyond `width` tokens is left out, but the token that ends it."""

    full = False

    def __init__(self, tokens: Tokens, width: int):
        self.starts, self.width = tokens.starts, width
        self.cut = int((np.diff(tokens.starts) > width).sum())

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, number: int, shift: int) -> Stretches:
        first, end = int(self.starts[number]), int(self.starts[number + 1])
        if end - first <= self.width:
            return [(first, end - first)]
        return [(first, self.width - 1), (end - 1, 1)]


def _pieces(starts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(first token, length) of the pieces of at most `width` tokens; none of the last token alone, which has none after it."""
    sizes = np.diff(starts)
    counts = np.maximum(0, -(-(sizes - 1) // width))
    document = np.repeat(np.arange(len(sizes)), counts)
    within = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    firsts = starts[:-1][document] + within * width
    return firsts, np.minimum(width, starts[1:][document] - firsts)


def _best_fit(lengths: np.ndarray, width: int) -> np.ndarray:
    """The row of each piece: the fullest row that has room, longest pieces first."""
    rows = np.zeros(len(lengths), np.int64)
    open_rows: list[list[int]] = [[] for _ in range(width + 1)]  # by the room that is left
    there, count = 0, 0  # bit r of `there`: some row has room r
    for piece in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[piece])
        fits = there >> length
        if fits:
            room = length + (fits & -fits).bit_length() - 1
            row = open_rows[room].pop()
            if not open_rows[room]:
                there &= ~(1 << room)
        else:
            row, room, count = count, width, count + 1
        rows[piece] = row
        if room > length:
            open_rows[room - length].append(row)
            there |= 1 << (room - length)
    return rows


@dataclass
class TextRows(Dataset):
    """Batches of the rows of a part.

    Args:
        tokens: of the part.
        rows: which stretches make a row.
        numbers: the rows that are used.
        width: tokens of a full row.
        pad: the id of padding.
        seed: of training; None in evaluation.
        labels: of each row; None: there are none.
        still: training with the same windows in each epoch (Lightning's overfit_batches).
    """

    tokens: Tokens
    rows: Rows
    numbers: Tensor
    width: int
    pad: int = 0
    seed: int | None = None
    labels: Tensor | None = None
    still: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitems__(self, draw: BatchIndex) -> TextBatch:
        """One batch; see `datamodules.sampling`."""
        numbers = self.numbers[draw.rows]
        seed, epoch = (0, 0) if self.seed is None else (self.seed, draw.epoch)
        shift = 0 if self.seed is None or self.still else self.rows.shift(seed, epoch)
        found = [self.rows.row(number, shift) for number in numbers.tolist()]
        lengths = [sum(length for _, length in row) for row in found]
        width = self.width if self.rows.full else max(lengths, default=0)
        ids = np.full((len(found), width), self.pad, np.int64)
        targets = np.full((len(found), width), NOTHING, np.int64)
        pos, documents = np.zeros_like(ids), np.full_like(ids, -1)
        num_bytes = np.zeros(len(found), np.int64)
        for row, stretches in enumerate(found):
            at = 0
            for number, (first, length) in enumerate(stretches):
                here, end = slice(at, at + length), first + length
                ids[row, here] = self.tokens.ids[first:end]
                pos[row, here], documents[row, here] = np.arange(length), number
                following, sizes = self._following(first, end)
                targets[row, at : at + len(following)] = following
                num_bytes[row] += sizes
                at += length
        apart: dict[str, Any] = {}
        if self.rows.apart:
            apart = {"pos": torch.from_numpy(pos), "documents": torch.from_numpy(documents)}
        lacking = self.rows.apart or min(lengths, default=width) < width
        batch = {
            "ids": torch.from_numpy(ids),
            "targets": torch.from_numpy(targets),
            "mask": torch.from_numpy(documents >= 0) if lacking else None,
            "num_bytes": torch.from_numpy(num_bytes),
            "sample": numbers.clone(),
            "seed": seed,
            "epoch": epoch,
            **apart,
        }
        return self.made(batch, numbers, lengths)

    def made(self, batch: dict[str, Any], numbers: Tensor, lengths: list[int]) -> TextBatch:
        """The batch of these rows, of so many tokens each, with what a kind of data adds."""
        return TextBatch(**batch) if self.labels is None else LabelledText(**batch, labels=self.labels[numbers])

    def _following(self, first: int, end: int) -> tuple[np.ndarray, int]:
        """The token after each of [first, end), NOTHING where none is asked for; the bytes of those that are. A document's last
        token has none after it where documents are apart."""
        last = end + 1
        if self.rows.apart or not self.rows.full:
            document = np.searchsorted(self.tokens.starts, first, "right") - 1
            last = min(last, int(self.tokens.starts[document + 1]))
        following = self.tokens.ids[first + 1 : last].astype(np.int64)
        sizes = self.tokens.sizes[first + 1 : last]
        if self.tokens.asked is not None:
            asked = self.tokens.asked[first + 1 : last]
            following, sizes = np.where(asked, following, NOTHING), sizes[asked]
        return following, int(sizes.sum())
