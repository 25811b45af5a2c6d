"""Which patches of a series are hidden from a model that learns to fill them in."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.declared import declared
from zoo.errors import ZooError


class PatchMasking(nn.Module):
    """Base class: `draw` says which patches are hidden; the model puts `value` in their place.

    Args:
        value: what a hidden patch holds.
        shown: channels that are never hidden.
    """

    def __init__(self, value: float = 0.0, shown: Sequence[int] = ()):
        super().__init__()
        self.value, self.shown = value, tuple(shown)

    def draw(self, batch: int, channels: int, patches: int, generator: torch.Generator | None = None) -> Tensor:
        """[B, C, N] bool on the CPU, True = hidden."""
        raise NotImplementedError(f"{type(self).__name__} has no draw(batch, channels, patches)")

    def forward(self, batch: int, channels: int, patches: int) -> Tensor:
        """A draw: in training of torch's random numbers, in eval mode the same for the same sizes."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        hidden = self.draw(batch, channels, patches, generator)
        if self.shown:
            hidden[:, list(self.shown)] = False
        return hidden


@declared
class RandomPatches(PatchMasking):
    """floor((1 - ratio) N) patches are seen (one at least), of each channel others. Nie et al. 2023, section 3.2: ratio .4.

    Args:
        ratio: of the patches that are hidden, in [0, 1).
        same_channels: hide the same patches in all channels of a sample.
        value, shown: see `PatchMasking`.
    """

    def __init__(self, ratio: float = 0.4, same_channels: bool = False, value: float = 0.0, shown: Sequence[int] = ()):
        super().__init__(value, shown)
        if not 0 <= ratio < 1:
            raise ZooError(f"The ratio of hidden patches is in [0, 1); got {ratio}.")
        self.ratio, self.same_channels = ratio, same_channels

    def draw(self, batch: int, channels: int, patches: int, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.rand(batch, 1 if self.same_channels else channels, patches, generator=generator)
        rank = noise.argsort(-1).argsort(-1)
        return (rank >= max(1, int(patches * (1 - self.ratio)))).expand(-1, channels, -1).clone()


@declared
class LastPatches(PatchMasking):
    """The last k patches are hidden, as in a forecast; k is one of `counts`, each for an equal part of the batch.

    Args:
        counts: numbers of patches; one number hides the same in every sample, and nothing is left to chance.
        value, shown: see `PatchMasking`.
    """

    def __init__(self, counts: int | Sequence[int] = 2, value: float = 0.0, shown: Sequence[int] = ()):
        super().__init__(value, shown)
        self.counts = (counts,) if isinstance(counts, int) else tuple(counts)
        if not self.counts or min(self.counts) < 1:
            raise ZooError(f"Numbers of hidden patches are positive; got {self.counts}.")

    def draw(self, batch: int, channels: int, patches: int, generator: torch.Generator | None = None) -> Tensor:
        if max(self.counts) >= patches:
            raise ZooError(f"{max(self.counts)} of {patches} patches cannot all be hidden: one has to be seen.")
        which = torch.arange(batch) % len(self.counts)
        if len(self.counts) > 1:
            which = which[torch.randperm(batch, generator=generator)]
        first = patches - torch.tensor(self.counts)[which]
        return (torch.arange(patches) >= first.view(-1, 1, 1)).expand(-1, channels, -1).clone()


__all__ = ["LastPatches", "PatchMasking", "RandomPatches"]
