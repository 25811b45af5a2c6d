"""What is done to the tokens of a training batch, so that a model cannot go by each of them."""

from typing import Any

import torch
from torch import Tensor

from zoo.declared import declared
from zoo.errors import ZooError
from zoo.tasks.draws import uniform

PURPOSE = 4  # of the draw; the objectives of language modelling have others


@declared("train")
class WordDropout:
    """Hide whole words: each is shown as mask tokens, as many as it has, with a probability of `rate`.

    Who knows a word's tag by heart learns nothing of the words beside it; of a hidden word the context is all that there is.
    The mask token is the one that a masked language model was trained with. Iyyer et al. 2015, section 5.1, and Bowman et al.
    2016, section 3.1, who leave words out or show them as unknown.

    Args:
        rate: within (0, 1).
    """

    def __init__(self, rate: float = 0.1):
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
            raise ZooError(f"task.noise.rate={rate} is not a share of the words; give a number between 0 and 1.")
        self.rate = rate

    def __call__(self, batch: Any, tokenizer: Any) -> Tensor:
        """A batch with places [B, W] (`datamodules.text.TaggedText`) -> ids [B, N], the hidden words in them; what is drawn
        depends on (seed, epoch, sample) alone. Special tokens are left alone.

        Raises: ZooError for a tokenizer without a mask token.
        """
        if tokenizer is None or tokenizer.mask is None:
            raise ZooError(
                "task.noise hides words behind a mask token, and this tokenizer has none; take tokenizer=wordpiece, bpe, "
                "unigram or words, or task.noise=null."
            )
        ids, places = batch.ids, batch.places
        n, words = ids.shape[1], places.shape[1]
        sample = torch.arange(len(ids), device=ids.device) if batch.sample is None else batch.sample
        hidden = uniform(batch.seed, batch.epoch, sample, words, PURPOSE) < self.rate
        numbers = torch.arange(1, words + 1, device=ids.device).expand_as(places)
        begins = ids.new_zeros(len(ids), n + 1).scatter(1, places.where(places >= 0, n), numbers)[:, :n]
        word = begins.cummax(1).values  # which word each token is of, counted from 1; 0 before the first
        hidden = torch.cat([torch.zeros_like(hidden[:, :1]), hidden], 1).gather(1, word)
        special = torch.tensor(sorted(tokenizer.special), dtype=torch.long, device=ids.device)
        return torch.where(hidden & ~torch.isin(ids, special), tokenizer.mask, ids)
