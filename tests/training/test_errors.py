"""Bad input: one sentence on stderr, exit code 2, no traceback, nothing left behind."""

import shutil

import pytest
import torch

from tests.training.compose import command_here, compose, fit
from tests.training.conftest import TINY, train
from zoo.config import plain
from zoo.errors import ZooError
from zoo.training.checks import check_config
from zoo.training.resume import checkpoint


def fails(runs, *arguments, by=train):
    done = by(*arguments, f"paths.runs={runs}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert not runs.exists() or not list(runs.iterdir())
    return done.stderr


def test_while_hydra_composes(tmp_path):
    assert "model=vitt is unknown; did you mean 'vit'?" in fails(tmp_path / "runs", "model=vitt")
    assert "there are no runs" in fails(tmp_path / "runs", "ckpt_path=last", by=command_here)


def test_while_the_model_is_built_in_a_folder_of_the_user(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep me")
    assert "dim=65 is not divisible by num_heads=4" in fails(
        tmp_path / "runs", "model.dim=65", f"hydra.run.dir={folder}"
    )
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_kernel_that_cannot_is_refused_before_training(tmp_path):
    with pytest.raises(ZooError, match="is not a dot product"):
        fit(tmp_path, "score=additive", "kernel=sdpa")
    assert not (tmp_path / "config.yaml").exists() and not (tmp_path / "metrics.csv").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_where_one_is_asked_for():
    with pytest.raises(ZooError, match=r"trainer\.accelerator=gpu, but torch finds none"):
        check_config(plain(compose("trainer=gpu")))


@pytest.mark.parametrize("none", ["trainer.max_epochs=0", "+trainer.max_steps=0", "++trainer.limit_train_batches=0"])
def test_a_training_without_a_step_is_none(tmp_path, none):
    with pytest.raises(ZooError, match=r"Nothing was trained.*train=false"):
        fit(tmp_path, none)
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("lr", ["abc", "-1"])
def test_an_optimizer_that_refuses_its_values(tmp_path, lr):
    with pytest.raises(ZooError, match=rf"task.optimizer: torch.optim.AdamW does not take lr='?{lr}'?, "):
        fit(tmp_path, f"task.optimizer.lr={lr}")


def test_the_traceback_on_request(tmp_path):
    done = train("model=vitt", f"paths.runs={tmp_path / 'runs'}", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_failed_continuation_leaves_the_run_as_it_was(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")

    def content():
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "train.log"}

    before = content()
    error = fails(tmp_path / "runs", *TINY, "model.depth=2", f"ckpt_path={run}", by=command_here)
    assert "another architecture" in error and "model.blocks.1.norm1.weight" in error
    assert content() == before


def test_truncated_checkpoint(finished, tmp_path):
    whole = (finished[0] / "checkpoints" / "last.ckpt").read_bytes()
    half = tmp_path / "half.ckpt"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ZooError, match=r"half.ckpt.*truncated"):
        fit(tmp_path, checkpoint=half)


def test_which_checkpoint(finished, tmp_path):
    folder, _ = finished
    kept = folder / "checkpoints"
    assert checkpoint(None, True, tmp_path) is None
    assert checkpoint("last", True, folder) == checkpoint(str(folder), True, tmp_path) == kept / "last.ckpt"
    assert checkpoint(str(folder), False, tmp_path) == kept / "best.ckpt"
    assert checkpoint(str(kept / "last.ckpt"), False, tmp_path) == kept / "last.ckpt"
    with pytest.raises(ZooError, match="is neither a file nor a folder"):
        checkpoint(str(tmp_path / "nowhere"), True, tmp_path)
    with pytest.raises(ZooError, match="has no checkpoint in"):
        checkpoint(str(tmp_path), True, tmp_path)
    with pytest.raises(ZooError, match="continues a training"):
        checkpoint("last", False, folder)


def test_loss_that_turns_nan_keeps_the_last_good_checkpoint(tmp_path):
    runs = tmp_path / "runs"
    words = ["task.optimizer.lr=1e30", "trainer.gradient_clip_val=null", "trainer.max_epochs=3"]
    done = command_here(*TINY, f"paths.runs={runs}", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "learning rate" in done.stderr
    (folder,) = runs.iterdir()  # training had begun: what there is stays
    assert (folder / "config.yaml").exists() and not (folder / "summary.json").exists()


def test_e9_stopping_early_without_validation_data_is_refused(tmp_path):
    stop = "+callbacks.stop={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/loss}"
    with pytest.raises(ZooError, match="EarlyStopping watches val/loss, but there is no validation data"):
        fit(tmp_path, "data.val_fraction=0", stop)
    assert not list(tmp_path.iterdir())
