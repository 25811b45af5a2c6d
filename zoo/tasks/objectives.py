"""What a language model is asked of a batch: the next token, the next behind a prefix, or tokens that were hidden."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.attention import Causal, Full, Pattern, Prefix
from zoo.errors import ZooError
from zoo.tasks.draws import uniform

#: A target that nobody is asked for.
NOTHING = -100
OBJECTIVES = ("causal", "prefix", "masked")
#: The share of tokens that "masked" asks for, where nobody says otherwise.
MASK_RATE = 0.15


@dataclass(frozen=True, eq=False)
class Asked:
    """ids [B, N] that the model is shown, targets [B, N] (NOTHING where none is asked for), and what a token may see."""

    ids: Tensor
    targets: Tensor
    sees: Pattern


def ask(objective: str, batch: Any, tokenizer: Any, mask_rate: float = MASK_RATE) -> Asked:
    """The batch as an objective has it.

    Args:
        objective: one of OBJECTIVES.
        batch: with ids, targets, mask, sample, seed and epoch, as data modules of text make them. What is drawn depends on
            (seed, epoch, sample) alone.
        tokenizer: for its mask token and what is no text.
        mask_rate: the share of a row's tokens that "masked" asks for.
    """
    if objective == "causal":
        return Asked(batch.ids, batch.targets, Causal())
    return _prefix(batch) if objective == "prefix" else _masked(batch, tokenizer, mask_rate)


def _prefix(batch: Any) -> Asked:
    """The first n tokens of a row are seen by all, n uniform in 1 .. tokens - 1; what follows them is asked for.

    A prefix language model: Liu et al. 2018; Raffel et al. 2020, section 3.2.1.
    """
    places, length = _places(batch)
    n = 1 + (_uniform(batch, 1, 0)[:, 0] * (length - 1)).long().clamp(min=0)
    targets = batch.targets.masked_fill(places < (n - 1).unsqueeze(1), NOTHING)
    return Asked(batch.ids, targets, Causal() | Prefix(n))


def _masked(batch: Any, tokenizer: Any, rate: float) -> Asked:
    """A share of a row's tokens, one at least, is asked for: of these 80 % are shown as the mask token, 10 % as another token,
    10 % as they are. Devlin et al. 2019, section 3.1. Special tokens are left alone."""
    if tokenizer is None or tokenizer.mask is None:
        raise ZooError(
            "task.objective=masked hides words behind a mask token, and this tokenizer has none; take tokenizer=wordpiece, bpe "
            "or unigram, or task.objective=causal."
        )
    ids, n = batch.ids, batch.ids.shape[1]
    special = torch.tensor(sorted(tokenizer.special), dtype=torch.long, device=ids.device)
    open_ = ~torch.isin(ids, special)
    open_ = open_ if batch.mask is None else open_ & batch.mask
    count = open_.sum(1)
    count = torch.where(count > 0, (count * rate).round().long().clamp(min=1), 0)
    order = _uniform(batch, n, 1).masked_fill(~open_, 2.0).argsort(1).argsort(1)
    asked = order < count.unsqueeze(1)
    kind, other = _uniform(batch, n, 2), (_uniform(batch, n, 3) * tokenizer.vocab_size).long()
    shown = torch.where(kind < 0.8, tokenizer.mask, torch.where(kind < 0.9, other, ids))
    return Asked(torch.where(asked, shown, ids), ids.masked_fill(~asked, NOTHING), Full())


def _places(batch: Any) -> tuple[Tensor, Tensor]:
    """([B, N] the place of each token in its row, [B] how many there are)."""
    mask = torch.ones_like(batch.ids, dtype=torch.bool) if batch.mask is None else batch.mask
    return mask.cumsum(1) - 1, mask.sum(1)


def _uniform(batch: Any, n: int, purpose: int) -> Tensor:
    sample = torch.arange(len(batch.ids), device=batch.ids.device) if batch.sample is None else batch.sample
    return uniform(batch.seed, batch.epoch, sample, n, purpose)
