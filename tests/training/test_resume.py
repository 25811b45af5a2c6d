"""A resumed run is the uninterrupted one (A11), and ckpt_path=last finds it."""

import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from tests.tasks.texts import settings
from tests.training.compose import compose, fit
from tests.training.conftest import TINY, command, environment, train
from zoo.conf import quoted
from zoo.errors import ZooError
from zoo.training.resume import newest_unfinished, run_to_continue
from zoo.training.run import train as train_here
from zoo.training.start import how_to_go_on


class Spy(Callback):
    """What each step saw: samples, weights, learning rate, and the random numbers it is about to draw."""

    def __init__(self):
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        weights = sum(parameter.double().sum().item() for parameter in pl_module.parameters())
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seen = (batch[0].sum().item(), batch[1].tolist(), weights, rate, torch.initial_seed())
        self.steps.append((trainer.current_epoch, batch_idx, seen))


class Stop(Callback):
    """Save a checkpoint after a step and fall over."""

    def __init__(self, step, file):
        self.step, self.file = step, file

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)
            raise KeyError(self.step)


@pytest.mark.parametrize("step", [3, 4, 6])  # within the first epoch; at its last step; within the last one
def test_a11_same_steps_after_a_resume(tmp_path, step):
    settings = ("trainer.max_epochs=2", "trainer.limit_train_batches=4", "model.dropout=0.1", "data.augment.crop=1")
    settings = tuple(s.replace("trainer.limit", "++trainer.limit") for s in settings)
    whole, rest = Spy(), Spy()
    fit(tmp_path / "whole", *settings, extra=[whole])
    fit(tmp_path / "cut", *settings, extra=[Stop(step, tmp_path / "x.ckpt")], stop_with=KeyError)
    fit(tmp_path / "cut", *settings, extra=[rest], checkpoint=tmp_path / "x.ckpt")
    assert len(whole.steps) == 8
    assert rest.steps == whole.steps[step:]
    # The interrupted epoch's means are over all its steps, those before the checkpoint too. After its last step Lightning
    # counts an epoch as done and neither validates nor logs it.
    logged, expected = ((tmp_path / run / "metrics.csv").read_text().splitlines() for run in ("cut", "whole"))
    assert logged == (expected[:1] + expected[3:] if step == 4 else expected)


PAIRS = {
    "bahdanau": ("model.dim=8", "data.longest=8", "task.teacher_forcing=0.6", "data.buckets=2"),
    "transformer_2017": ("model.dim=8", "model.hidden=16", "model.depth=1", "model.num_heads=2", "data.longest=8"),
    "captioner": ("model.dim=8", "model.depth=1", "model.num_heads=2", "model.drop_path=0.2", "data.augment.crop=1"),
}


@pytest.mark.parametrize("model", PAIRS)
def test_a11_models_of_pairs_go_on_bit_for_bit(model, tmp_path, monkeypatch):
    """After an epoch, and within one: with dropout, tokens of the decoder's own and batches by length."""
    monkeypatch.chdir(tmp_path)
    words = (
        f"model={model}", *PAIRS[model], "data.sizes=[24,4,4]", "data.batch_size=8", "model.dropout=0.1", "callbacks=none",
        "~logger", "test=false", "trainer.max_epochs=2", "++trainer.enable_progress_bar=false",
        "++trainer.enable_model_summary=false", "paths.cache=cache", "task.exact_match=false",
    )  # fmt: skip

    def weights(*more, extra=()):
        try:
            return train_here(compose(*words, *more, run=tmp_path / "run"), None, watch=extra).task.model.state_dict()
        except KeyError:
            return None
        finally:
            torch.set_grad_enabled(True)

    whole = weights()
    for step in (2, 3):
        assert weights(extra=[Stop(step, tmp_path / "x.ckpt")]) is None
        rest = weights(f"ckpt_path={quoted(tmp_path / 'x.ckpt')}")
        assert [name for name, tensor in rest.items() if not torch.equal(tensor, whole[name])] == []


@pytest.mark.parametrize("step", [3, 8])  # within the first epoch of 6, and within the second
@pytest.mark.parametrize("kind", ["tags", "spans"])
def test_a11_the_same_weights_after_a_resume(tmp_path, kind, step):
    """Of hand-made files, bit for bit; with dropout, which draws."""

    def run(folder, *more, watch=(), stop_with=()):
        with suppress(stop_with):
            record = train_here(compose(*words, *more, run=folder), folder, watch=watch)
            return record.task.state_dict(), record.metrics
        return None

    words = (*settings(tmp_path, kind), "callbacks=none", "test=false", "+trainer.enable_progress_bar=false")
    whole, metrics = run(tmp_path / "whole")
    file = tmp_path / "x.ckpt"
    assert run(tmp_path / "cut", watch=[Stop(step, file)], stop_with=KeyError) is None
    rest, again = run(tmp_path / "cut", f"ckpt_path={file}")
    assert again == metrics
    assert all(torch.equal(rest[name], whole[name]) for name in whole)


def fake_run(folder, *overrides, checkpoint=True, finished=False):
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(compose(*overrides, run="${hydra:runtime.output_dir}"), folder / ".hydra" / "config.yaml")
    if checkpoint:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
    if finished:
        (folder / "summary.json").touch()


def test_last_finds_the_newest_unfinished_run_of_the_config(tmp_path):
    runs = tmp_path / "runs"
    config = compose("ckpt_path=last", f"paths.runs={runs}")
    with pytest.raises(ZooError, match="there are no runs"):
        run_to_continue(config)
    fake_run(runs / "other", "seed=1")
    fake_run(runs / "early", checkpoint=False)
    fake_run(runs / "done", finished=True)
    with pytest.raises(ZooError) as error:
        newest_unfinished(config)
    for reason in ("other: data.seed is 1, here 0, seed is 1, here 0", "early: has no checkpoint", "done: finished"):
        assert reason in str(error.value)
    fake_run(runs / "first")
    fake_run(runs / "second")
    assert newest_unfinished(config) == runs / "second"
    assert run_to_continue(compose(f"ckpt_path={runs / 'done'}")) == runs / "done"
    assert run_to_continue(compose(f"ckpt_path={runs / 'done/checkpoints/last.ckpt'}")) == runs / "done"
    assert run_to_continue(compose(f"ckpt_path={runs / 'done'}", "train=false")) is None
    assert run_to_continue(compose("ckpt_path=elsewhere/x.ckpt")) is None


@pytest.mark.slow
def test_a_finished_run_is_trained_on_in_its_folder(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "runs" / "run")
    done = train(*TINY, "model.dropout=0.1", "trainer.max_epochs=2", f"ckpt_path={run}", f"paths.runs={run.parent}")
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    assert list(run.parent.iterdir()) == [run]
    assert len((run / "metrics.csv").read_text().splitlines()) > len(
        (finished[0] / "metrics.csv").read_text().splitlines()
    )


@pytest.mark.slow
def test_one_process_a_folder_and_an_interrupted_run_says_how_it_goes_on(tmp_path):
    runs = tmp_path / "it's mine"
    settings = (*TINY[2:], "trainer.max_epochs=500", f"paths.runs={quoted(runs)}")
    process = subprocess.Popen(
        command(*settings), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not list(runs.glob("*/checkpoints/last.ckpt")) and process.poll() is None:
        time.sleep(0.05)
    (folder,) = runs.iterdir()
    before = sorted((folder / ".hydra").rglob("*"))  # the first goes on writing beside it
    second = train(*settings, "ckpt_path=last", cwd=tmp_path)
    assert second.returncode == 2 and f"is in use by process {process.pid}" in second.stderr
    assert sorted((folder / ".hydra").rglob("*")) == before and list(runs.iterdir()) == [folder]
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.startswith("interrupted; this goes on from the last checkpoint:\n")
    program, _, *words = shlex.split(error.splitlines()[1])
    done = train(*words, "+trainer.max_time=00:00:00:01", cwd=tmp_path)
    assert program == "python" and f"goes on from {folder}/checkpoints/last.ckpt: epoch " in done.stdout
    assert not (folder / ".lock").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_how_an_interrupted_run_goes_on(tmp_path, kept):
    if kept:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "last.ckpt").touch()
    said = how_to_go_on(tmp_path, ["model=vit", "ckpt_path=last", "data.normalise={mean:[0.5],std:[0.5]}"])
    if kept:
        words = shlex.split(said.splitlines()[1])
        assert words == [
            "python",
            "train.py",
            "model=vit",
            "data.normalise={mean:[0.5],std:[0.5]}",
            f"ckpt_path={tmp_path}",
        ]
    else:
        assert said == "there is no checkpoint yet, so the same command starts anew."


@pytest.mark.faults
def test_a11_killed_and_continued(tmp_path):
    """kill -9 in the middle loses no more than one checkpoint interval, and the curve is the uninterrupted one's."""
    settings = (
        *TINY,
        "callbacks.last.every_seconds=0",
        "trainer.max_epochs=5",
        "model.dropout=0.1",
        "++trainer.limit_train_batches=16",
    )
    whole = train(*settings, f"paths.runs={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    runs = tmp_path / "cut"
    process = subprocess.Popen(command(*settings, f"paths.runs={runs}"), env=environment(), stdout=subprocess.DEVNULL)
    times = set()
    while len(times) < 2 and process.poll() is None:  # two epochs are done
        times |= {file.stat().st_mtime_ns for file in runs.glob("*/checkpoints/last.ckpt")}
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = runs.iterdir()
    assert not (folder / "summary.json").exists()
    done = train(*settings, f"paths.runs={runs}", "ckpt_path=last")
    assert done.returncode == 0, done.stderr
    assert list(runs.iterdir()) == [folder]
    (other,) = (tmp_path / "whole").iterdir()
    assert (folder / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


def test_what_a_config_leaves_open_is_as_the_run_decided_it(tmp_path):
    """The default patch has changed since: a run of then is tested as it was built, and numbers are all that is taken."""
    from zoo.training.resume import left_open

    then = {
        "_target_": "zoo.old_place.ViT",
        "patch_size": 4,
        "img_size": 8,
        "mlp_ratio": 4.0,
        "norm": {"_target_": "os.remove"},
        "class_token": True,
        "dim": 8,
    }
    now = {**dict.fromkeys(then), "_target_": "zoo.models.vit.ViT", "dim": 16}
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml({"model": then}))
    file = tmp_path / "checkpoints" / "best.ckpt"
    assert left_open(now, {"img_size"}, file) == {"patch_size": 4, "mlp_ratio": 4.0}
    assert left_open({**now, "_target_": "zoo.models.cnn.CNN"}, {"img_size"}, file) == {}
    assert left_open(now, {"img_size"}, tmp_path / "elsewhere" / "a" / "b.ckpt") == {}
