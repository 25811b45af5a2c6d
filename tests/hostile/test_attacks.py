"""Attacks that no list named, tried against the doors when these were made; what each found is mended."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests.hostile.conftest import OF_CHECKPOINT, OF_DATA, OF_FOLDER, OF_YAML, verb
from tests.hostile.files import (
    ADAM,
    CONFIG,
    SETTINGS,
    change_config,
    packed,
    set_model,
    weights,
    write_checkpoint,
    write_yaml,
)
from zoo.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
from zoo.errors import ZooError
from zoo.pretrained import initialise

ESCAPES = "\x1b]0;owned\x07\x1b[2J"


def test_a_terminal_is_not_written_to_by_a_file(run, capsys):
    """Escape sequences in names of classes are refused, elsewhere shown as their escapes."""
    summary = run / "summary.json"
    summary.write_text(json.dumps({"metrics": {ESCAPES: 1.0}, "note": ESCAPES}))
    OF_YAML["info"](run)
    from zoo.cli import main

    assert main(["info", str(run)]) == 0
    assert "\x1b" not in (told := capsys.readouterr().out) and "\\x1b]0;owned" in told
    set_model(run, {**CONFIG, ESCAPES: 1})
    assert main(["info", str(run)]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["$\\frac{$", "$x", "[bold]x[/wrong]", "{run}", "\\", "<b>", "'); --"])
def test_names_of_classes_are_only_names(run, name):
    """matplotlib reads formulas between dollars, rich colours between brackets."""
    change_config(run, classes=[f"{name} {i}" for i in range(10)])
    OF_FOLDER["predict"](run)
    OF_DATA["predict test:17"](run)


@pytest.mark.parametrize("path", ["..", "../..", "../precious", "/", "a/../..", "s3://bucket/x", ""])
def test_what_a_checkpoint_names_is_never_deleted(run, path):
    """Lightning deletes the path that its state calls the worst of the best: `..` is the run itself."""
    checkpoint = Checkpoint(dirpath=str(run / "checkpoints"), filename="best", monitor="val/loss")
    state = checkpoint.state_dict() | {
        "best_model_path": path or "x", "kth_best_model_path": path, "last_model_path": path, "dirpath": path,
        "best_model_score": torch.tensor(9.0), "best_k_models": {path: torch.tensor(9.0), "b": torch.tensor(3.0)},
    }  # fmt: skip
    checkpoint.load_state_dict(state)
    own = str(run / "checkpoints" / "best.ckpt")
    named = [
        checkpoint.best_model_path,
        checkpoint.kth_best_model_path,
        checkpoint.last_model_path,
        *checkpoint.best_k_models,
    ]
    assert {each for each in named if each} == {own}
    assert str(checkpoint.dirpath) == str(run / "checkpoints")


def test_a_training_reads_its_checkpoint_as_carefully(run):
    """ckpt_path= goes through Lightning's plugin: the same look at the archive, and never pickle."""
    checkpoint, io = run / "checkpoints" / "best.ckpt", AtomicCheckpointIO()
    assert io.load_checkpoint(checkpoint, weights_only=False)["epoch"] == 1
    packed(run)
    with pytest.raises(ZooError, match="packed"):
        io.load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"head.weight": (10**9, 0)}, "classes"),
        ({"head.weight": (10, 192), "patch_embed.proj.weight": (1, 10**6, 1, 1)}, "channels"),
    ],
)
def test_a_file_for_timm_decides_no_size_that_it_does_not_hold(tmp_path, shapes, why):
    pytest.importorskip("timm")
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "x.safetensors")
    with pytest.raises(ZooError, match="does not fit timm's vit_tiny_patch16_224"):
        initialise(CONFIG, f"timm://vit_tiny_patch16_224@{tmp_path / 'x.safetensors'}", {})


@pytest.mark.parametrize("name", ["config.yaml", "model/config.json", "summary.json", "model/model.safetensors"])
def test_pipes_and_devices_are_no_files(run, name):
    """Opening a pipe waits for ever."""
    (run / name).unlink()
    os.mkfifo(run / name)
    doors = (zoo.load, OF_FOLDER["init="], *OF_YAML.values(), *OF_DATA.values())
    for door in doors:
        try:
            door(run)
        except ZooError as error:
            assert str(error)
    shutil.rmtree(run)


def test_links_into_nowhere_and_circles(run, refused):
    (run / "again").symlink_to(run, target_is_directory=True)
    OF_YAML["info"](run)
    (run / "model" / "config.json").unlink()
    (run / "model" / "config.json").symlink_to(run / "nowhere")
    with pytest.raises(ZooError):
        zoo.load(run)


def test_what_a_training_left_half_done_is_not_looked_at(run):
    """Totals, loops and callbacks of any kind: load_from_checkpoint takes the weights alone."""
    more = {"train_totals": [1], "train_steps": "x", "loops": 3, "callbacks": [None], "lr_schedulers": {"a": 1}}
    write_checkpoint(run, SETTINGS | {"model": CONFIG}, weights(run), **more)
    for door in OF_CHECKPOINT.values():
        door(run)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": None}, {"optimizer": "torch.optim.SGD"}, {"optimizer": [ADAM]}, {"layer_decay": "x"},
        {"layer_decay": [1]},
        {"label_smoothing": {}}, {"finetune": []}, {"grad_checkpointing": "x", "compile": 0, "label_smoothing": "x"},
        {"mixing": {"_target_": "zoo.tasks.mixing.Mixing", "mixup": "x"}}, {"mixing": [1]}, {"mixing": {"a": 1}},
        {"mixing": {"_target_": "zoo.tasks.mixing.Mixing", "mixup": {"_target_": "zoo.attention.Full"}}},
        {"monitor": 3}, {"mode": "x"}, {"optimizer": {**ADAM, "params": 3}, "layer_decay": -1},
    ],
)  # fmt: skip
def test_misshapen_hyper_parameters(run, refused, settings):
    write_checkpoint(run, SETTINGS | {"model": CONFIG} | settings, weights(run))
    door = OF_CHECKPOINT["load_from_checkpoint"]
    try:
        door(run)  # what only training looks at may pass
    except ZooError:
        assert "best.ckpt" in refused(door)


PART = {"_partial_": True}
PARTS = {
    "a part in the wrong place": {"attention": {"_target_": "zoo.layers.xavier", **PART}},
    "a model in a model": {"act": {**CONFIG, **PART}},
    "a model as its own part": {"attention": {**CONFIG, **PART}},
    "an instance where a factory stands": {"norm": {"_target_": "torch.nn.LayerNorm", "normalized_shape": 8}},
    "a deep pattern": {"attention": {"_target_": "zoo.attention.Attention", **PART, "pattern": None}},
    "an endless start": {"init": {"_target_": "zoo.layers.trunc_normal", **PART, "std": 0}},
    "a wide start": {"init": {"_target_": "zoo.layers.trunc_normal", **PART, "std": 1e300}},
    "a negative start": {"init": {"_target_": "zoo.layers.trunc_normal", **PART, "std": -1.0}},
    "an init that is no function": {"init": {"_target_": "zoo.attention.Full"}},
    "an order that is none": {"order": {"_target_": "zoo.layers.xavier", **PART}},
    "weights of a sequence": {"norm": {"_target_": "torch.nn.LayerNorm", **PART, "eps": "x"}},
    "a kernel of no name": {"attention": {"_target_": "zoo.attention.Attention", **PART, "kernel": "../x"}},
    "a list for a number": {"dim": [8]},
    "a mapping for a number": {"dim": {"a": 8}},
    "true for a number": {"num_heads": True},
    "a pool that is a list": {"pool": ["token"]},
    "a model as its own pool": {"pool": {**CONFIG, **PART}},
    "a pool of no tokens": {"pool": {"_target_": "zoo.layers.JoinPrefix", **PART, "prefix": -1}},
    "a pool of another width": {"pool": {"_target_": "zoo.layers.JoinPrefix", **PART, "dim": 3}},
    "a pool of a huge width": {"pool": {"_target_": "zoo.layers.AttentionPool", **PART, "hidden": 10**12}},
    "a pool with no heads": {"pool": {"_target_": "zoo.layers.AttentionPool", **PART, "num_heads": 0}},
    "a norm as a pool": {"pool": {"_target_": "torch.nn.LayerNorm", **PART, "normalized_shape": 8}},
    "a pattern as a feed-forward": {"feed_forward": {"_target_": "zoo.attention.Full", **PART}},
    "a feed-forward of text": {"feed_forward": {"_target_": "zoo.layers.GatedFeedForward", **PART, "hidden": "8"}},
    "a word as a norm": {"patch_norm": "layer"},
    "three sides": {"img_size": [8, 8, 8]},
    "sides of text": {"img_size": ["8", "8"]},
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_parts_in_wrong_places(run, refused, part):
    """Declared things where they do not belong are refused, or compute nothing but numbers; never a traceback."""
    config = {**CONFIG, **part}
    if config.get("attention", {}).get("pattern", 0) is None:
        pattern = {"_target_": "zoo.attention.Full"}
        for _ in range(60):
            pattern = {"_target_": "zoo.attention.And", "left": pattern, "right": {"_target_": "zoo.attention.Causal"}}
        config["attention"]["pattern"] = pattern
    set_model(run, config)
    for door in (OF_FOLDER | OF_CHECKPOINT | OF_YAML).values():
        try:
            door(run)
        except ZooError as error:
            assert "\n" not in str(error).strip()


def test_a_run_that_names_its_neighbours_files(run, refused):
    """Which folder of the reader's is read, no file says; one that holds no images is a sentence."""
    words = ("predict", "{run}", "test:1", "--out", "{here}/out.png")
    for root in ("/", "/dev", str(run.parent / "precious"), "nowhere", ""):
        write_yaml(run, CONFIG, {"_target_": "datamodules.images.ImageFolder", "root": root})
        assert "give --data FOLDER" in refused(verb(*words))
        assert refused(verb(*words, "--data", "{here}/precious"))
    for root in (3, ["x"]):
        write_yaml(run, CONFIG, {"_target_": "datamodules.images.ImageFolder", "root": root})
        assert "root" in refused(verb(*words))


@pytest.mark.parametrize(
    "data",
    [
        {"batch_size": 0}, {"batch_size": "x"}, {"val_fraction": "x"}, {"split_seed": -1}, {"split": 3}, {"train_limit": "x"},
        {"seed": {}}, {"val_fraction": 5}, {"test_fraction": None},
    ],
)  # fmt: skip
def test_misshapen_settings_of_data(run, data):
    write_yaml(run, CONFIG, {"_target_": "datamodules.images.Digits", **data})
    try:
        OF_DATA["predict test:17"](run)
    except ZooError as error:
        assert "\n" not in str(error).strip()
