"""What generation starts from: prompts of unequal lengths as one batch, padded on the left, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import ZooError


@dataclass(frozen=True, eq=False)
class Prompts:
    """ids [B, N], and mask [B, N] (True = a token) where rows are padded on the left; None where none is."""

    ids: Tensor
    mask: Tensor | None

    @property
    def lengths(self) -> list[int]:
        """How many tokens each row has."""
        return [self.ids.shape[1]] * len(self.ids) if self.mask is None else self.mask.sum(-1).tolist()

    def rows(self) -> list[list[int]]:
        """The tokens of each row."""
        return [row[len(row) - n :] for row, n in zip(self.ids.tolist(), self.lengths, strict=True)]

    def repeated(self, times: int) -> "Prompts":
        """Each row so many times, one after another."""
        mask = None if self.mask is None else self.mask.repeat_interleave(times, 0)
        return Prompts(self.ids.repeat_interleave(times, 0), mask)

    def seen(self, vocab_size: int) -> Tensor:
        """[B, V] bool: the tokens that stand in each row."""
        seen = torch.zeros(len(self.ids), vocab_size + 1, dtype=torch.bool, device=self.ids.device)
        ids = self.ids if self.mask is None else self.ids.masked_fill(~self.mask, vocab_size)  # a column for padding
        return seen.scatter_(1, ids, True)[:, :-1]


def prompts(
    ids: Tensor | Sequence[Sequence[int]],
    mask: Tensor | None = None,
    *,
    vocab_size: int,
    bos: int | None = None,
    device: torch.device | str | None = None,
) -> Prompts:
    """Prompts as a batch padded on the left: the last column holds the last token of each row.

    Args:
        ids: [B, N], or a list of rows of ids.
        mask: [B, N] bool, True = a token, where ids is padded, on the left or on the right.
        vocab_size: ids are below it.
        bos: what stands in for a prompt without tokens.

    Raises:
        ZooError: ids that are no integers or outside the vocabulary, a mask of another shape or with holes, an empty prompt
            without bos.
    """
    if isinstance(ids, Tensor):
        rows, mask = _tensor(ids, mask, device)
    else:
        if mask is not None:
            raise ZooError("A list of rows has no padding, so no mask: give mask=None, or ids as a tensor [B, N].")
        rows, mask = _rows(ids, device)
    if len(rows) == 0:
        raise ZooError("There is no prompt: give at least one row of ids.")
    rows, mask = _with_bos(rows, mask, bos)
    if mask is not None:
        if bool(mask.all()):
            mask = None
        else:
            rows, mask = _left(rows, mask)
    least, most = (int(x) for x in (rows if mask is None else rows[mask]).aminmax())
    if least < 0 or most >= vocab_size:
        wrong = least if least < 0 else most
        raise ZooError(
            f"The id {wrong} is outside the vocabulary of this model, 0 to {vocab_size - 1}: was the text encoded with another "
            "tokenizer?"
        )
    return Prompts(rows if mask is None else rows.masked_fill(~mask, 0), mask)


def _tensor(ids: Tensor, mask: Tensor | None, device: torch.device | str | None) -> tuple[Tensor, Tensor | None]:
    if ids.ndim != 2 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise ZooError(f"Prompts are ids of tokens, integers [B, N]; got {ids.dtype} {list(ids.shape)}.")
    if mask is not None:
        if mask.shape != ids.shape or mask.dtype != torch.bool:
            raise ZooError(
                f"mask is bool, True = a token, of the shape of ids {list(ids.shape)}; got {mask.dtype} {list(mask.shape)}."
            )
        mask = mask.to(device)
    return ids.to(device, torch.long), mask


def _rows(ids: Sequence[Sequence[int]], device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    rows = [row.tolist() if isinstance(row, Tensor) else row for row in ids]
    for row in rows:
        if isinstance(row, str) or not isinstance(row, Sequence) or any(type(each) is not int for each in row):
            raise ZooError(f"Prompts are rows of ids, [[1, 2], [3]]; got the row {row!r:.60}.")
    length = max(map(len, rows), default=0)
    padded = torch.tensor([[0] * (length - len(row)) + list(row) for row in rows], dtype=torch.long, device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return padded.view(len(rows), length), torch.arange(length, device=device) >= (length - lengths)[:, None]


def _with_bos(ids: Tensor, mask: Tensor | None, bos: int | None) -> tuple[Tensor, Tensor | None]:
    """Rows without a token begin with bos."""
    empty = torch.full((len(ids),), ids.shape[1] == 0, device=ids.device) if mask is None else ~mask.any(-1)
    if not bool(empty.any()):
        return ids, mask
    if bos is None:
        raise ZooError(
            f"Prompt {int(empty.int().argmax())} is empty, and the tokenizer has no bos that a text could begin with: give at "
            "least one token."
        )
    mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    if ids.shape[1] == 0:
        ids, mask = ids.new_zeros(len(ids), 1), mask.new_zeros(len(ids), 1)
    ids, mask = ids.clone(), mask.clone()
    ids[empty, -1], mask[empty, -1] = bos, True
    return ids, mask


def _left(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's tokens at its end, in columns that some row needs."""
    N, lengths = ids.shape[1], mask.sum(-1)
    first = mask.int().argmax(-1)
    whole = torch.arange(N, device=ids.device)
    inside = (whole >= first[:, None]) & (whole < (first + lengths)[:, None])
    if bool((inside != mask).any()):
        row = int((inside != mask).any(-1).int().argmax())
        raise ZooError(
            f"The mask of row {row} has holes: padding stands left or right of a row's tokens, not among them. What a token "
            "may not see is a pattern."
        )
    longest = int(lengths.max())
    column = torch.arange(longest, device=ids.device) - longest + (first + lengths)[:, None]
    kept = torch.arange(longest, device=ids.device) >= (longest - lengths)[:, None]
    return ids.gather(1, column.clamp(min=0)), kept
