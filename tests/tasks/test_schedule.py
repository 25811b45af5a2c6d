"""The learning rate at each step, by hand, in a trainer, and after a resume."""

import math

import pytest
import torch
from lightning.pytorch import Callback

from tests.tasks.tiny import COSINE, loader, make_task, make_trainer
from zoo.callbacks.checkpoint import Checkpoint
from zoo.errors import ZooError
from zoo.tasks.schedule import EpochDecay, WarmupCosine, build_schedule


class Rates(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, *_):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_by_hand():
    curve = WarmupCosine(steps=12, epochs=3, warmup=1, floor=0.1)  # 4 steps of warm-up
    assert [curve(t) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert curve(4) == 1.0
    assert curve(8) == pytest.approx(0.55)  # half way down, between 1 and the floor
    assert curve(11) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 7 / 8)) / 2)
    assert curve(12) == curve(1000) == 0.1


def test_warmup_as_share_and_as_epochs():
    assert WarmupCosine(100, 10, warmup=0.2).warmup == WarmupCosine(100, 10, warmup=2).warmup == 20
    assert WarmupCosine(100, 10, warmup=50).warmup == 100
    assert WarmupCosine(100, 10)(0) == 1.0


def test_every_step_of_a_run_and_of_a_resumed_one(tmp_path):
    whole, first, second = Rates(), Rates(), Rates()
    make_trainer(4, callbacks=[whole]).fit(make_task(schedule=COSINE), loader(), loader(13))
    curve = WarmupCosine(12, 4, warmup=0.25, floor=0.1)
    assert whole.seen == [1e-2 * curve(t) for t in range(12)]

    class Stop(Callback):
        def on_train_epoch_end(self, trainer, _):
            trainer.should_stop = trainer.current_epoch == 1

    save = Checkpoint(tmp_path, "last")
    make_trainer(4, callbacks=[first, Stop(), save]).fit(make_task(schedule=COSINE), loader(), loader(13))
    resume = {"ckpt_path": tmp_path / "last.ckpt"}
    make_trainer(4, callbacks=[second, save]).fit(make_task(schedule=COSINE), loader(), loader(13), **resume)
    assert first.seen + second.seen == whole.seen


def test_refusals():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ZooError, match="max_epochs"):
        build_schedule(optimizer, COSINE, math.inf, -1)
    with pytest.raises(ZooError, match="share below 1"):
        build_schedule(optimizer, {**COSINE, "warmup": 5}, 100, None)
    assert build_schedule(optimizer, COSINE, 100, None).lr_lambdas[0].warmup == 25
    with pytest.raises(ZooError, match="floor=2"):
        WarmupCosine(10, 1, floor=2)


def test_decay_by_epochs():
    """Of PatchTST's code: "type3" is the full rate in its epochs 1 to 3 and in the next, then 0.9 of the one before."""
    type3 = EpochDecay(steps=60, epochs=6, factor=0.9, hold=3)
    assert [type3(step) for step in (0, 9, 39, 40, 49, 50)] == pytest.approx([1, 1, 1, 0.9, 0.9, 0.81])
    type1 = EpochDecay(steps=7, epochs=7)
    assert [type1(step) for step in range(4)] == [1, 1, 0.5, 0.25]
    with pytest.raises(ZooError, match="factor=0 must be above 0"):
        EpochDecay(10, 1, factor=0)
