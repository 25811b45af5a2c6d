"""The average of the weights (docs/criteria.md A14, bug 34): right before it starts, by hand after, exact at resume."""

import pytest
import torch
from lightning.pytorch import Callback

from tests.tasks.tiny import loader, make_task, make_trainer, same, weights
from zoo.callbacks.checkpoint import Checkpoint
from zoo.callbacks.ema import EMA
from zoo.errors import ZooError
from zoo.tasks.image_classification import ImageClassification


class Weights(Callback):
    """The live weights after each optimizer step, and those that validation saw."""

    def __init__(self):
        self.live, self.validated = [], []

    def on_train_batch_end(self, trainer, task, *_):
        self.live.append(weights(task.model))

    def on_validation_batch_start(self, trainer, task, *_):
        self.validated.append(weights(task.model))


def fit(*callbacks, epochs=2, **kwargs):
    task, seen = make_task(), Weights()
    torch.manual_seed(1)  # dropout
    trainer = make_trainer(epochs, callbacks=[*callbacks, seen])
    trainer.fit(task, loader(), loader(13), **kwargs)
    return task, trainer, seen


def test_never_started_is_as_without(tmp_path):  # A14
    without, plain, _ = fit()
    save = Checkpoint(tmp_path, "last")
    with_it, trainer, seen = fit(EMA(0.9, start=1000), save)
    assert same(with_it.state_dict(), without.state_dict())
    assert trainer.callback_metrics["val/loss"] == plain.callback_metrics["val/loss"]
    assert same(seen.validated[-1], seen.live[-1])
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert same(saved, without.state_dict())


def test_average_by_hand_and_used_everywhere(tmp_path):
    save = Checkpoint(tmp_path, "last")
    task, _, seen = fit(EMA(0.2, start=2), save)  # 6 steps; 2, 3, 4, 5 (from 0) are averaged
    live = [step["mix.weight"] for step in seen.live]
    average = live[2]
    for n, w in enumerate(live[3:], start=1):
        decay = min(0.2, (1 + n) / (10 + n))  # 2 / 11, then 0.2
        average = decay * average + (1 - decay) * w
    torch.testing.assert_close(task.model.mix.weight.detach(), average)
    torch.testing.assert_close(seen.validated[0]["mix.weight"], live[2])  # after 3 steps: the first averaged
    torch.testing.assert_close(seen.validated[-1]["mix.weight"], average)
    loaded = ImageClassification.load_from_checkpoint(tmp_path / "last.ckpt", model=make_task().model)
    torch.testing.assert_close(loaded.model.mix.weight.detach(), average)


def test_validation_does_not_disturb_training():
    assert same(fit()[2].live[-1], fit(EMA(0.5))[2].live[-1])


def test_testing_the_checkpoint_in_the_same_process_uses_the_average(tmp_path):
    task, trainer, _ = fit(EMA(0.5), Checkpoint(tmp_path, "last"))
    trained = weights(task)
    trainer.test(task, loader(13), ckpt_path=tmp_path / "last.ckpt", verbose=False)
    assert same(weights(task), trained)


@pytest.mark.parametrize("start", [0, 4])
def test_resume_is_exact(tmp_path, start):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, _):
            trainer.should_stop = trainer.current_epoch == 0

    class Seed(Callback):  # of dropout: the same in each step, resumed or not
        def on_train_batch_start(self, trainer, *_):
            torch.manual_seed(trainer.global_step)

    save = Checkpoint(tmp_path, "last")
    whole, _, _ = fit(EMA(0.9, start), Seed())
    fit(EMA(0.9, start), Seed(), Stop(), save)
    resumed, trainer, _ = fit(EMA(0.9, start), Seed(), Checkpoint(tmp_path, "last"), ckpt_path=tmp_path / "last.ckpt")
    assert trainer.global_step == 6
    assert same(resumed.state_dict(), whole.state_dict())


def test_every_other_step():
    ema = EMA(0.9, start=3, every=2)
    assert [step for step in range(9) if ema.should_update(step_idx=step)] == [3, 5, 7]
    assert not ema.should_update(epoch_idx=5)


def test_refusal():
    with pytest.raises(ZooError, match="decay in"):
        EMA(decay=1.0)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_the_average_has_the_type_of_the_weights(precision, tmp_path):
    """Else the first average of such a training raises; and a checkpoint holds it to the last bit."""
    task, save = make_task(), Checkpoint(tmp_path, "last")
    make_trainer(2, callbacks=[EMA(0.2), save], precision=precision).fit(task, loader(), loader(13))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert next(task.model.parameters()).dtype == {"64-true": torch.float64, "bf16-true": torch.bfloat16}[precision]
    assert same(saved, task.state_dict())
