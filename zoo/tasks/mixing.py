"""Mixup and CutMix of a batch, with soft targets."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.declared import declared
from zoo.errors import ZooError


@declared("train")
class Mixing:
    """Mix each image of a batch with its neighbour, one way a batch.

        Mixup:  x = l x_i + (1 - l) x_{i-1},    l ~ Beta(a, a)           (Zhang et al. 2018)
        CutMix: a box of x_i's area 1 - l is x_{i-1}'s, l the area left   (Yun et al. 2019)
        target: l onehot(y_i) + (1 - l) onehot(y_{i-1})

    The mixing is torchvision's: it takes odd batches, where timm's `Mixup` raises, and draws from torch's generator,
    where timm's draws from numpy's. Only the choice between the two is made here. Label smoothing is the loss's
    business: cross-entropy smooths soft targets as it does hard ones. What is drawn is the same in every precision.

    Args:
        mixup: a of Mixup; 0 or None leaves it out.
        cutmix: a of CutMix; 0 or None leaves it out.
        switch: the probability of CutMix where both are on.
        prob: the probability that a batch is mixed at all.
    """

    def __init__(self, mixup: float | None = 0.8, cutmix: float | None = 1.0, switch: float = 0.5, prob: float = 1.0):
        if min(mixup or 0, cutmix or 0) < 0 or not (mixup or cutmix):
            raise ZooError(f"mixup={mixup}, cutmix={cutmix}: one must be above 0 and none below; or task.mixing=null.")
        if not (0 <= switch <= 1 and 0 <= prob <= 1):
            raise ZooError(f"switch={switch} and prob={prob} are probabilities, within [0, 1].")
        self.mixup, self.cutmix, self.switch, self.prob = mixup, cutmix, switch, prob
        self._ways: list[Callable] = []  # Mixup before CutMix; made when first used

    def __call__(self, images: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W], labels [B] -> mixed images, targets [B, num_classes] whose rows sum to 1."""
        if torch.rand((), dtype=torch.float32) >= self.prob:
            return images, F.one_hot(labels, num_classes).to(images.dtype)
        images, targets = self._choose(num_classes)(images, labels)
        return images, targets.to(images.dtype)

    def _choose(self, num_classes: int) -> Callable:
        if not self._ways:
            from torchvision.transforms import v2  # 1.5 s, so only where something is mixed

            kinds = ((v2.MixUp, self.mixup), (v2.CutMix, self.cutmix))
            before = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)  # bf16-true sets another, in which torch cannot draw from Beta(a, a)
            self._ways = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
            torch.set_default_dtype(before)
        return self._ways[-1] if torch.rand((), dtype=torch.float32) < self.switch else self._ways[0]
