"""A8, A7: what a second pair of eyes found after the first round: dear, long or misleading rather than code that runs."""

import contextlib
import io
import json
import struct

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.hostile.conftest import OF_CHECKPOINT, OF_FOLDER
from tests.hostile.files import CONFIG, change_config, set_model, weights
from tests.training.compose import fit
from zoo.callbacks.checkpoint import Checkpoint
from zoo.cli import main
from zoo.errors import ZooError
from zoo.tasks.totals import read_totals
from zoo.training.callbacks import Stopwatch

PREDICT, TITLE = OF_FOLDER["predict"], "\x1b]0;x\x07"


def part(target, **settings):
    return {"_target_": target, "_partial_": True, **settings}


# ---- time and length --------------------------------------------------------------------------------------------------------


#: one of each kind by default; the others read the config by the same function
FEW = ("zoo.load", "load_from_checkpoint")
EVERY = [
    pytest.param(door, id=name, marks=() if name in FEW else pytest.mark.slow)
    for name, door in (OF_FOLDER | OF_CHECKPOINT).items()
]


@pytest.mark.parametrize("door", EVERY)
def test_parts_by_the_thousand_are_not_looked_up(run, refused, door):
    """Each name is looked up and its signature read: 60,000 of them took a minute."""
    set_model(run, {**CONFIG, "attention": [part("zoo.models.vit.ViT") for _ in range(40_000)]})
    assert "more than 2,000 parts" in refused(door)


LONG = {
    "a value of a setting that is none": {"nope": "x" * 90_000},
    "a list of it": {"nope": ["y" * 1000] * 3000},
    "text for a number": {"dim": "8" * 90_000},
    "a part's own words, and torch's with a C++ stack": {"mlp_ratio": 1e300},
    "what a class is given": {"img_size": [8] * 50_000},
    "a kernel's name": {"attention": part("zoo.attention.Attention", kernel="x" * 90_000)},
}


@pytest.mark.parametrize("settings", LONG.values(), ids=LONG)
def test_a_sentence_stays_one(run, refused, settings):
    set_model(run, CONFIG | settings)
    refused(PREDICT)  # which looks at its length and lines


# ---- parts that do not go together ------------------------------------------------------------------------------------------

APART = {
    "a function of another kind": {"order": part("zoo.layers.xavier")},
    "a pattern as activation": {"act": part("zoo.attention.Full")},
    "groups that do not divide": {"act": part("torch.nn.GroupNorm", num_groups=3, num_channels=3, affine=False)},
    "a norm of another shape": {"act": part("torch.nn.LayerNorm", normalized_shape=[3, 3], elementwise_affine=False)},
    "division by zero": {"act": part("torch.nn.Softplus", beta=0)},
    "roots of negative numbers": {"norm": part("torch.nn.LayerNorm", eps=-5)},
}


@pytest.mark.parametrize("settings", APART.values(), ids=APART)
def test_a_model_that_builds_and_cannot_answer(run, refused, settings):
    """The weights fit, each part is declared, and the first image raises, or gives NaN."""
    set_model(run, CONFIG | settings)
    said = refused(PREDICT)
    assert "Error: " in said or "answers NaN" in said


def test_weights_beyond_the_models_own_type(run, refused):
    """1e300 is a number of float64, and infinite where the weights go to float32."""
    path = run / "model" / "model.safetensors"
    save_file({name: tensor.double() * 0 + 1e300 for name, tensor in load_file(path).items()}, path)
    assert "NaN or infinite in" in refused(OF_FOLDER["init="])
    assert "answers NaN" in refused(PREDICT)


def test_more_patches_than_can_be_drawn(run, refused):
    """A position without weights leaves the size of images to the file: a million patches, and their square."""
    config = {**CONFIG, "img_size": 4096, "position": part("zoo.attention.SinCos2D")}
    set_model(run, config)
    state = {name: tensor for name, tensor in weights(run).items() if name != "position.table"}
    save_file(state, run / "model" / "model.safetensors")
    change_config(run, preprocess={"size": 4096, "in_chans": 1, "mean": [0.3], "std": [0.4]})
    assert "1,048,576 patches" in refused(PREDICT)


# ---- the terminal -----------------------------------------------------------------------------------------------------------


def test_nothing_in_a_run_steers_the_terminal(run):
    """Titles, colours and lines of a terminal can be set by what is printed; words of files are written out."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["batch_size"] = TITLE
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "summary.json").write_text(json.dumps({"metrics": {TITLE: 1}, "seed": TITLE}))
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text(json.dumps([TITLE]))
    (run / TITLE).touch()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["info", str(run)]) == 0
    assert "\x1b" not in said.getvalue() and said.getvalue().count("\\x1b]0;x\\x07") == 5
    (run / "config.yaml").unlink()
    (run / "model" / "config.json").unlink()
    with contextlib.redirect_stderr(said):
        assert main(["info", str(run)]) == 2
    assert "\x1b" not in said.getvalue()


def test_a_folder_of_many_files_is_not_listed_to_the_end(run):
    (run / "figures").mkdir()
    for i in range(1000):
        (run / "figures" / f"{i}.png").touch()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["info", str(run)]) == 0
    assert said.getvalue().count(".png") < 150 and "more" in said.getvalue()


# ---- checkpoints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", OF_CHECKPOINT.values(), ids=OF_CHECKPOINT)
def test_a_directory_of_gigabytes(run, refused, door):
    """An archive of three sparse gigabytes that calls nearly all of itself its directory, which zipfile reads whole."""
    path, size = run / "checkpoints" / "best.ckpt", 3 << 30
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 5, 5, size - 98, 0)
    end = struct.pack("<4sLQL", b"PK\6\7", 0, size - 98, 1) + struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, 5, 5, 2**32 - 1, 0, 0
    )
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size - 98)
        file.write(wide + end)
    with pytest.raises(ZooError, match="its directory is larger than"):
        door(run)  # and not `refused`, which reads every file


TOTALS = [
    [1],
    {"names": 3},
    {"names": ["a"], "state": torch.zeros(1, 2, 3)},
    {"names": [1], "state": torch.zeros(1, 2, 1)},
]


@pytest.mark.parametrize("totals", TOTALS)
def test_sums_of_an_epoch_that_are_none(totals):
    with pytest.raises(ZooError, match="train_totals"):
        read_totals(totals)


def best_of(path):
    score = torch.tensor(0.5)
    return {
        "monitor": "val/accuracy", "best_model_score": score, "best_model_path": path, "current_score": score, "dirpath": "/",
        "best_k_models": {path: score}, "kth_best_model_path": path, "kth_value": score, "last_model_path": path,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{}, {"best_model_score": "x"}, {"kth_value": torch.zeros(9)}])
def test_a_record_of_the_best_epoch_that_is_none(tmp_path, wrong):
    callback = Checkpoint(str(tmp_path), "best", "val/accuracy", "max")
    (tmp_path / "best.ckpt").touch()
    callback.load_state_dict(best_of("x"))
    with pytest.raises(ZooError, match="record of the best epoch"):
        callback.load_state_dict({**best_of("x"), **wrong} if wrong else {})


def test_a_stopwatch_takes_times_alone():
    watch = Stopwatch(1)
    watch._stage = "fit"
    for wrong in ({"on_train_start": 1}, watch.state_dict() | {"samples": "x"}, watch.state_dict() | {"setup": 1}):
        with pytest.raises(ZooError, match="times are not"):
            watch.load_state_dict(wrong)
    assert callable(watch.on_train_start)


STATES = {
    "optimizer": lambda c: c["optimizer_states"][0].update(param_groups=[]),
    "steps of the optimizer": lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr="x"),
    "loops": lambda c: c.update(loops={"fit_loop": {"state_dict": 3}}),
    "schedule": lambda c: c["lr_schedulers"][0].update(step="x"),
    "callbacks": lambda c: c.update(callbacks=dict.fromkeys(c["callbacks"], 3)),
    "no weights": lambda c: c.pop("state_dict"),
}


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    """The last checkpoint of a small training."""
    folder = tmp_path_factory.mktemp("trained")
    trainer = fit(folder, "trainer.max_epochs=1", "++trainer.limit_train_batches=1")
    trainer.save_checkpoint(folder / "last.ckpt")
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("damage", STATES.values(), ids=STATES)
def test_a_training_that_cannot_go_on_says_so(tmp_path, last, damage):
    """train.py ckpt_path= of states that are not this training's: a sentence, no traceback out of torch or Lightning."""
    torch.save(last, tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    damage(content)
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ZooError, match=r"go on from|checkpoint"):
        fit(
            tmp_path / "run",
            "trainer.max_epochs=2",
            "++trainer.limit_train_batches=1",
            checkpoint=tmp_path / "last.ckpt",
        )


def test_a_config_among_the_runs_that_doubles_itself(tmp_path):
    """ckpt_path=last looks through every run there is: one of them is forty doublings of a list."""
    from tests.training.compose import compose
    from zoo.training.resume import newest_unfinished

    folder = tmp_path / "runs" / "a"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
    (folder / ".hydra" / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(ZooError, match="alias"):
        newest_unfinished(compose("ckpt_path=last", f"paths.runs={tmp_path / 'runs'}"))
