"""Checkpoint files: whole or not there, under fixed names, and a sentence for what cannot be read."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from lightning.pytorch.demos.boring_classes import BoringModel

from tests.tasks.tiny import COSINE, loader, make_task, make_trainer
from zoo.callbacks.both import BestOfBoth
from zoo.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
from zoo.config import instantiate, plain
from zoo.errors import ZooError
from zoo.training.trainer import best as chosen

SAVE_FOREVER = """
import sys, torch
from zoo.callbacks.both import BestOfBoth
from zoo.callbacks.checkpoint import AtomicCheckpointIO
step = 0
while True:
    step += 1
    AtomicCheckpointIO().save_checkpoint({"step": step, "w": torch.full((2_000_000,), step)}, sys.argv[1])
    print(step, flush=True)
"""


@pytest.fixture
def callbacks(root, tmp_path):
    """The callbacks of a config group, as train.py would build them."""

    def build(name):
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(root / "conf"), version_base=None):
            config = compose(
                f"callbacks/{name}", overrides=[f"+paths.run={tmp_path}", "+task={monitor: accuracy, mode: max}"]
            )
        return {key: instantiate(node) for key, node in plain(config)["callbacks"].items()}

    return build


def test_best_and_last_have_fixed_names_and_last_is_of_every_epoch(callbacks, tmp_path):
    parts = callbacks("default")
    del parts["figures"], parts["progress"]
    parts["best"].monitor = "lr"  # falls in each epoch, so the first is the best
    trainer = make_trainer(3, callbacks=list(parts.values()), plugins=[AtomicCheckpointIO()])
    trainer.fit(make_task(schedule={**COSINE, "warmup": 0.0}), loader(), loader(13))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    best, last = (torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == 0 and last["epoch"] == 2
    assert trainer.checkpoint_callback.best_model_path.endswith("best.ckpt")


@pytest.mark.parametrize("group", ["default", "gat_stopping", "both"])
def test_what_is_tested_is_the_chosen_one(callbacks, group, tmp_path):
    """Also where last.ckpt's callback stands first: it has a path too, and chooses nothing."""
    parts = callbacks(group)
    best, last = parts["best"], parts["last"]
    best.best_model_path, last.best_model_path = "best.ckpt", "last.ckpt"
    for order in ([best, last], [last, best]):
        assert chosen(make_trainer(1, callbacks=order)).name == "best.ckpt"
    assert chosen(make_trainer(1, callbacks=[last])) is None
    del parts["progress"]
    assert make_trainer(1, callbacks=list(parts.values())).checkpoint_callback is best


@pytest.mark.parametrize("mode", ["max", "min"])
def test_gats_rule_of_stopping(tmp_path, mode):
    """Keep the newest epoch at which both are at their best; stop when neither has been for `patience` validations."""
    sign = 1 if mode == "max" else -1  # an error is as an accuracy is, the other way up
    history = [(0.5, 1.0), (0.6, 1.1), (0.5, 0.9), (0.6, 0.9), (0.6, 1.2), (0.5, 1.0), (0.5, 1.0), (0.9, 0.1)]
    rule, trainer = BestOfBoth(tmp_path, "best", patience=2, mode=mode), make_trainer(20)
    kept = []
    rule.setup(trainer, make_task(), "fit")
    for epoch, (accuracy, loss) in enumerate(history):
        rule.look(sign * accuracy, loss)
        if rule.check_monitor_top_k(trainer):
            kept.append(epoch)
        if rule.waited >= rule.patience:
            break
    assert kept == [0, 3] and epoch == 6, "epoch 4 has the best accuracy but not the lowest loss; 5 and 6 neither"
    with pytest.raises(ZooError, match="neither max nor min"):
        BestOfBoth(tmp_path, "best", mode="high")
    again = BestOfBoth(tmp_path, "best", patience=2)
    again.load_state_dict(rule.state_dict())
    assert (again.highest, again.lowest, again.waited) == (0.6, 0.9, 2)


@pytest.mark.parametrize("there", [True, False])
def test_the_best_of_a_copied_run_is_the_file_that_lies_there(tmp_path, there, caplog):
    """A worse epoch in the copy neither replaces it nor is tested; without the file the next epoch is the best."""
    falling = {**COSINE, "warmup": 0.0}

    def fit(folder, epochs, checkpoint=None):
        best = Checkpoint(folder, "best", monitor="lr", mode="max")
        callbacks = [best, Checkpoint(folder, "last")]
        make_trainer(epochs, callbacks=callbacks).fit(
            make_task(schedule=falling), loader(), loader(13), ckpt_path=checkpoint, weights_only=True
        )
        return best

    fit(tmp_path / "here", 2)
    copy = shutil.copytree(tmp_path / "here", tmp_path / "there")
    if not there:
        (copy / "best.ckpt").unlink()
    best = fit(copy, 4, copy / "last.ckpt")
    assert best.best_model_path == str(copy / "best.ckpt")
    assert best.logged["lr"] == float(best.best_model_score)  # what the chosen epoch logged
    assert (torch.load(copy / "best.ckpt", weights_only=True)["epoch"] == 0) == there
    assert ("looked for anew" in caplog.text) != there
    state = torch.load(copy / "last.ckpt", weights_only=True)["callbacks"]
    assert str(tmp_path) not in str(state)


@pytest.mark.parametrize("group, best", [("default", 1), ("by_loss", 2)])
def test_best_is_by_the_task_s_metric_or_by_the_loss(callbacks, group, best, tmp_path):
    class Told(BoringModel):
        def validation_step(self, *_):
            accuracy, loss = [(0.5, 2.0), (0.9, 3.0), (0.7, 1.0), (0.8, 1.5)][self.current_epoch]
            self.log_dict({"val/accuracy": accuracy, "val/loss": loss})

    callback = callbacks(group)["best"]
    make_trainer(4, callbacks=[callback], limit_train_batches=1, limit_val_batches=1).fit(Told())
    content = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["epoch"] == best == callback.logged["epoch"]


def test_of_equally_good_epochs_the_latest_is_the_best(tmp_path):
    best = Checkpoint(tmp_path, "best", monitor="lr", mode="max")  # constant
    make_trainer(3, callbacks=[best]).fit(make_task(), loader(), loader(13))
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 2


def test_short_epochs_are_passed_over_but_never_the_last_one(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Checkpoint, "_save_last_checkpoint", lambda *_: None)
    monkeypatch.setattr(
        Checkpoint, "_save_checkpoint", lambda self, trainer, path: written.append(trainer.current_epoch)
    )
    make_trainer(4, callbacks=[Checkpoint(tmp_path, "last", every_seconds=1000)]).fit(make_task(), loader(), loader(13))
    assert written == [0, 3]


@pytest.mark.parametrize("name", ["default", "ema", "none"])
def test_every_config_builds(callbacks, name):
    assert ("ema" in callbacks(name)) == (name == "ema")


def test_saves_and_loads_without_leaving_parts(tmp_path):
    io, path = AtomicCheckpointIO(), tmp_path / "deep" / "a.ckpt"
    io.save_checkpoint({"w": torch.ones(3)}, path)
    io.save_checkpoint({"w": torch.zeros(3)}, path)
    assert [p.name for p in path.parent.iterdir()] == ["a.ckpt"]
    assert torch.equal(io.load_checkpoint(path)["w"], torch.zeros(3))


def test_a_failed_save_keeps_the_old_file(tmp_path):
    io, path = AtomicCheckpointIO(), tmp_path / "a.ckpt"
    io.save_checkpoint({"w": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        io.save_checkpoint({"w": lambda: None}, path)
    assert io.load_checkpoint(path) == {"w": 1} and [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.faults
def test_kill_while_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / "last.ckpt"
    for delay in (0.002, 0.007):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, path], stdout=subprocess.PIPE)
        for _ in range(2):
            process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        saved = AtomicCheckpointIO().load_checkpoint(path)
        assert saved["step"] >= 2 and (saved["w"] == saved["step"]).all()


def test_unreadable_files_are_named(tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(ZooError, match=r"no checkpoint.*last.ckpt"):
        AtomicCheckpointIO().load_checkpoint(path)
    AtomicCheckpointIO().save_checkpoint({"w": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ZooError, match=r"last.ckpt' \(2000 bytes\) cannot be read: it is truncated"):
        AtomicCheckpointIO().load_checkpoint(path)
    trainer = make_trainer(plugins=[AtomicCheckpointIO()])
    with pytest.raises(ZooError, match="truncated"):
        trainer.test(make_task(), loader(13), ckpt_path=path)
