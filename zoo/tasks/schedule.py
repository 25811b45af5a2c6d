"""How the learning rate moves: a closed form of the step, so a resumed run is on the curve by construction.

torch's LambdaLR carries it. LinearLR and CosineAnnealingLR under SequentialLR compute each rate from the one before it,
so the curve depends on how one got there, and timm's scheduler costs 3.6 s of import.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.declared import declared
from zoo.errors import ZooError


@declared("train")
class WarmupCosine:
    """Linear warm-up over w steps, then half a cosine to a floor over the rest, as a factor of each group's own rate.

        f(t) = (t + 1) / w                                        t < w
        f(t) = floor + (1 - floor) (1 + cos(pi (t - w) / (T - w))) / 2     w <= t < T;   floor from T on

    Step t = 0 is the first one. Source: SGDR, Loshchilov & Hutter 2017 (one period); warm-up: Goyal et al. 2017.

    Args:
        steps: T, optimizer steps in the whole training.
        epochs: epochs in the whole training; only to read `warmup` with.
        warmup: a share of the training if below 1, else a number of epochs (5 epochs of a 3-epoch run: all of it).
        floor: the last factor, in [0, 1].
    """

    def __init__(self, steps: int, epochs: float, warmup: float = 0.0, floor: float = 0.0):
        if warmup < 0 or not 0 <= floor <= 1:
            raise ZooError(f"warmup={warmup} must be 0 or more and floor={floor} within [0, 1].")
        share = warmup if warmup < 1 else warmup / epochs
        self.steps = steps
        self.warmup = min(round(share * steps), steps)
        self.floor = floor

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        if step >= self.steps:
            return self.floor
        progress = (step - self.warmup) / (self.steps - self.warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


@declared("train")
class EpochDecay:
    """The full rate for a few epochs, then less by the same factor with each: the rule of the field of forecasting.

        f(t) = factor ** max(e - hold, 0),    e = floor(t epochs / T) the epoch of step t, from 0

    Args:
        steps: T, optimizer steps in the whole training.
        epochs: in the whole training; T / epochs is the length of one.
        factor: above 0, at most 1.
        hold: the last epoch, from 0, of the full rate.

    Source: Informer's code halves it (factor .5, hold 1: "type1"), PatchTST's takes a tenth away (.9, 3: "type3").
    """

    def __init__(self, steps: int, epochs: float, factor: float = 0.5, hold: int = 1):
        if not 0 < factor <= 1 or hold < 0:
            raise ZooError(f"factor={factor} must be above 0, at most 1, and hold={hold} an epoch, from 0.")
        self.steps, self.epochs, self.factor, self.hold = steps, epochs, factor, hold

    def __call__(self, step: int) -> float:
        epoch = int(step * self.epochs) // max(self.steps, 1)
        return self.factor ** max(epoch - self.hold, 0)


@declared("train")
class InverseSquareRoot:
    """Linear warm-up over w steps, then with the inverse square root of the step, as a factor of each group's own rate.

        f(t) = min((t + 1) / w, sqrt(w / (t + 1)))

    Vaswani et al. 2017, equation 3, where the full rate is (dim w) ** -.5.

    Args:
        steps: T, optimizer steps in the whole training.
        epochs: epochs in the whole training; only to read `warmup` with.
        warmup: a share of the training if below 1, else a number of epochs.
    """

    def __init__(self, steps: int, epochs: float, warmup: float = 0.1):
        if warmup <= 0:
            raise ZooError(f"warmup={warmup} must be above 0: the rate falls from where it ends.")
        share = warmup if warmup < 1 else warmup / epochs
        self.warmup = max(round(share * steps), 1)

    def __call__(self, step: int) -> float:
        return min((step + 1) / self.warmup, math.sqrt(self.warmup / (step + 1)))


def build_schedule(optimizer: Optimizer, config: Mapping[str, Any], steps: float, epochs: int | None) -> LambdaLR:
    """A scheduler to step after every optimizer step.

    Args:
        config: of a class taking (steps, epochs, ...) whose instances map a step to a factor, e.g. `WarmupCosine`. Its
            attributes are what the checkpoint keeps of it, so they are numbers.
        steps: optimizer steps in the whole training, as the trainer estimates them.
    """
    from zoo.config import instantiate

    if not math.isfinite(steps):
        raise ZooError("The schedule needs to know where training ends; set trainer.max_epochs, or task.schedule=null.")
    # A trainer limited by max_steps alone has max_epochs -1 or None: there "epochs" cannot be read, "share" can.
    epochs = epochs if epochs and epochs > 0 else None
    if epochs is None and config.get("warmup", 0) >= 1:
        raise ZooError(f"warmup={config['warmup']} epochs of a training given in steps; give a share below 1 instead.")
    factory = instantiate({**config, "_partial_": True})
    return LambdaLR(optimizer, factory(steps=int(steps), epochs=epochs or 1))
