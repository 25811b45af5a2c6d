"""Batches of pairs: source sentences, and targets from the begin token to the end token."""

from dataclasses import dataclass, fields
from typing import Any, Self

from torch import Tensor


@dataclass(eq=False)
class PairBatch:
    """Rows of pairs, padded on the right. What a decoder reads and what it is asked is made of `target` by the task.

    Args:
        source: [B, S] long.
        lengths: [B] long, its tokens.
        target: [B, T] long, begin token, text, end token.
        target_lengths: [B] long, both counted.
        sample: [B] long, numbers of the rows in their part: with seed and epoch the key to what a task draws for each.
        seed, epoch: of training; (0, 0) in evaluation.
    """

    source: Tensor
    lengths: Tensor
    target: Tensor
    target_lengths: Tensor
    sample: Tensor
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.source)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same on another device."""
        return self._each("to", *args, **kwargs)

    def pin_memory(self) -> Self:
        """The same in pinned memory."""
        return self._each("pin_memory")

    def _each(self, verb: str, *args: Any, **kwargs: Any) -> Self:
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        tensors = {
            name: getattr(each, verb)(*args, **kwargs) for name, each in found.items() if isinstance(each, Tensor)
        }
        return type(self)(**{**found, **tensors})
