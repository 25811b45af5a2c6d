"""What a step gives, and the sums over an epoch that its means are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError


@dataclass(frozen=True, slots=True)
class Step:
    """One batch through a model.

    Args:
        loss: a number, the mean over `count` rows; what is minimised in training.
        count: rows (images, nodes, tokens, ...) that were scored: the batch's weight in every mean.
        outputs: what metrics compare, [count, ...].
        targets: with what, [count, ...]; None where there is nothing to compare with (mixed images have no one label).
        means: further means by name, as (sum, what it is divided by): (bits, bytes) of a text, which are no mean over rows.
        samples: what `test/samples` counts, where `count` is not that: windows, of which each has many values.
    """

    loss: Tensor
    count: int
    outputs: Tensor
    targets: Tensor | None
    means: Mapping[str, tuple[Tensor, float]] = field(default_factory=dict)
    samples: int | None = None


class Totals:
    """Sums over the rows of an epoch, in float64 and in constant memory.

        mean(m) = sum over steps of (sum over rows of m) / sum over steps of count

    In float64 a sum of whole numbers (right or not) is exact, so such a mean does not depend on the batches. Logging costs
    more than a small model's whole step; adding costs one operation a mean.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, float] = {}

    def add(self, name: str, value: Tensor, count: float, weight: float = 1.0) -> None:
        """Add `weight` x `value`, a number on the device, as the sum over `count` rows."""
        if name not in self.sums:
            self.sums[name] = torch.zeros((), dtype=wide(value.device), device=value.device)
            self.counts[name] = 0
        self.sums[name].add_(value.detach(), alpha=weight)
        self.counts[name] += count

    def clear(self) -> None:
        """Begin an epoch."""
        self.sums, self.counts = {}, {}

    def state(self, names: Sequence[str], device: torch.device) -> Tensor:
        """[2, names]: sums and counts, 0 where nothing was added."""
        nothing = torch.zeros((), dtype=wide(device), device=device)
        counts = [float(self.counts.get(name, 0)) for name in names]
        sums = torch.stack([self.sums.get(name, nothing) for name in names])
        return torch.stack([sums, torch.tensor(counts, dtype=sums.dtype, device=device)])

    def load(self, names: Sequence[str], state: Tensor, device: torch.device) -> None:
        """Go on from `state`."""
        self.clear()
        for name, value, count in zip(names, *state, strict=True):
            if count:
                self.add(name, value.to(device, wide(device)), float(count))


def read_totals(found: Any) -> tuple[list[str], Tensor]:
    """The names and the state, [processes, 2, names], that a checkpoint within an epoch holds. Raises: ZooError for others."""
    names, state = (found.get("names"), found.get("state")) if isinstance(found, dict) else (None, None)
    if not (isinstance(names, list) and isinstance(state, Tensor) and state.ndim == 3):
        raise ZooError("The checkpoint's train_totals are not sums of an epoch; go on from another checkpoint.")
    if state.shape[1:] != (2, len(names)) or not all(isinstance(name, str) for name in names):
        raise ZooError(f"The checkpoint's train_totals {list(state.shape)} are not those of {len(names)} names.")
    return names, state


def wide(device: torch.device) -> torch.dtype:
    """float64, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def labelled(batch: Any, stage: str) -> tuple[Tensor, Tensor | None]:
    """A batch's targets, and which rows of them count at this stage (None: all): the one place that knows all batches."""
    if isinstance(batch, tuple | list):
        return batch[1], None
    return batch.labels, None if batch.rows is None else batch.rows[stage]
