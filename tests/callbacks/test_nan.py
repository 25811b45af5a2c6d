"""A loss that is not a number stops the run and leaves the last good checkpoint."""

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader, TensorDataset

from tests.tasks.tiny import COSINE, data, loader, make_task, make_trainer
from zoo.callbacks.checkpoint import Checkpoint
from zoo.callbacks.nan import StopOnNaN
from zoo.errors import ZooError


class Break(Callback):
    """Make the weights NaN before, or after, one step (counted from 1)."""

    def __init__(self, before=None, after=None):
        self.before, self.after = before, after

    def on_train_batch_start(self, trainer, task, *_):
        if trainer.global_step + 1 == self.before:
            task.model.head.bias.data.fill_(float("nan"))

    def on_train_batch_end(self, trainer, task, *_):
        if trainer.global_step == self.after:
            task.model.head.bias.data.fill_(float("inf"))


def last(folder):
    return Checkpoint(folder, "last")


@pytest.mark.parametrize("cheap", [True, False])
def test_stops_with_step_rate_and_the_kept_checkpoint(tmp_path, monkeypatch, cheap):
    watch = StopOnNaN(every=50)
    if not cheap:  # as on an accelerator: nothing is read before validation
        monkeypatch.setattr("zoo.callbacks.nan.Trainer.world_size", 2)
    trainer = make_trainer(4, callbacks=[watch, Break(before=8), last(tmp_path)])  # 3 steps an epoch: in the third
    with pytest.raises(ZooError) as error:
        trainer.fit(make_task(schedule=COSINE), loader(), loader(13))
    assert "in step 8, at learning rate 0.00" in str(error.value)
    assert str(tmp_path / "last.ckpt") in str(error.value)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 6
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert trainer.global_step == (8 if cheap else 9)


def test_rate_is_that_of_the_step():
    trainer = make_trainer(4, callbacks=[StopOnNaN(), Break(before=2)])
    with pytest.raises(ZooError, match=r"step 2, at learning rate 0.00667\. No checkpoint"):  # 2/3 of the warm-up
        trainer.fit(make_task(schedule=COSINE), loader(), loader(13))


def test_broken_parameters_are_not_saved_though_every_loss_was_finite(tmp_path):
    trainer = make_trainer(4, callbacks=[StopOnNaN(), Break(after=6), last(tmp_path)])
    with pytest.raises(ZooError, match="parameter became NaN or infinite in step 6"):
        trainer.fit(make_task(), loader(), loader(13))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3


def test_nan_in_the_data_stops_at_once(tmp_path):
    images, labels = data(23).tensors
    images[20] = float("nan")
    trainer = make_trainer(callbacks=[StopOnNaN(), last(tmp_path)])
    with pytest.raises(ZooError, match="in step 3"):
        trainer.fit(make_task(), DataLoader(TensorDataset(images, labels), 8), loader(13))
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_healthy_run_is_left_alone():
    trainer = make_trainer(2, callbacks=[StopOnNaN(every=2)])
    trainer.fit(make_task(), loader(), loader(13))
    assert trainer.global_step == 6
