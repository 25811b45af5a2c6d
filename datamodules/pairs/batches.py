"""Batches of pairs: source sentences, and targets from the begin token to the end token."""

from dataclasses import dataclass

from torch import Tensor

from datamodules.moving import Moving


@dataclass(eq=False)
class PairBatch(Moving):
    """Rows of pairs, padded on the right. What a decoder reads and what it is asked is made of `target` by the task.

    Args:
        source: [B, S] long; of sources that are no text what stands for them.
        lengths: [B] long, its tokens; None where all of each counts.
        target: [B, T] long, begin token, text, end token.
        target_lengths: [B] long, both counted.
        sample: [B] long, numbers of the rows in their part: with seed and epoch the key to what a task draws for each.
        seed, epoch: of training; (0, 0) in evaluation.
    """

    source: Tensor
    lengths: Tensor | None
    target: Tensor
    target_lengths: Tensor
    sample: Tensor
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.source)
