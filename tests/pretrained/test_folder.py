"""Model folders: what zoo.save writes, zoo.load gives back, without pickle, or it says in a sentence why not."""

import json
import os
import pickle
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import zoo
from zoo.errors import ZooError
from zoo.models import Preprocess
from zoo.pretrained import folder as folders

TINY = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 3, "dim": 16, "depth": 1, "num_heads": 2}
CONFIG = {"_target_": "zoo.models.vit.ViT", **TINY}


@pytest.fixture
def model():
    model = zoo.build(CONFIG)
    model.preprocess, model.classes = Preprocess(8, 1, (0.1,), (0.2,), "bilinear", 0.9), ("a", "b", "ç")
    return model


@pytest.fixture
def images():
    return torch.randn(2, 1, 8, 8)


def test_what_is_saved_is_loaded(model, images, tmp_path):
    folder = zoo.save(model, tmp_path / "run" / "model", metrics={"test/accuracy": 0.98765432}, data="digits")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "card.json",
        "config.json",
        "model.safetensors",
    ]
    for path in (folder, folder.parent, str(folder.parent)):  # a model folder, or the run's
        again = zoo.load(path)
        assert not again.training
        assert torch.equal(again(images), model.eval()(images))
        assert (again.config, again.preprocess, again.classes) == (model.config, model.preprocess, model.classes)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]  # nothing half-written beside it


def test_the_card_says_what_it_is_and_how_to_load_it(model, tmp_path):
    facts = {"task": "digits", "metrics": {"test/accuracy": 0.98765432}, "command": "python train.py", "licence": "mit"}
    text = (zoo.save(model, tmp_path / "model", **facts) / "README.md").read_text()
    for part in (
        "license: mit",
        "zoo.load",
        "## Task",
        "| test/accuracy | 0.987654 |",
        "    python train.py",
        "3 classes",
    ):
        assert part in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_weights_are_as_readable_as_the_umask_says(model, tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = zoo.save(model, tmp_path / "model")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~umask}


def test_a_saved_folder_is_replaced_and_its_other_files_stay(model, images, tmp_path):
    folder = zoo.save(model, tmp_path)  # a folder that is there
    (folder / "notes.txt").write_text("mine")
    with torch.no_grad():
        model.head.bias += 1
    zoo.save(model, folder)
    assert torch.equal(zoo.load(folder)(images), model.eval()(images))
    assert (folder / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.parent.glob(".*.part"))


def test_a_save_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(folders.cards, "write", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        zoo.save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_compiled_models_have_plain_names(model, images, tmp_path):
    """A10."""
    names = model.state_dict().keys()
    compiled = torch.compile(model, backend="eager")
    model.blocks[0] = torch.compile(model.blocks[0], backend="eager")
    folder = zoo.save(compiled, tmp_path / "model")
    assert load_file(folder / "model.safetensors").keys() == names
    assert torch.equal(zoo.load(folder)(images), model.eval()(images))


def test_half_precision_is_kept(model, tmp_path):
    folder = zoo.save(model.to(torch.bfloat16), tmp_path / "model")
    assert {p.dtype for p in zoo.load(folder).parameters()} == {torch.bfloat16}


def test_tensors_under_two_names_are_saved_once():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    state = folders.weights.tensors(tied)
    assert state.keys() == {"0.weight", "0.bias", "1.bias"}
    folders.weights.fill(tied, {name: torch.ones_like(tensor) for name, tensor in state.items()}, "here")
    assert tied[1].weight is tied[0].weight and tied[1].weight.eq(1).all()


def test_a_folder_of_format_1_loads(images, tmp_path):
    """Written out by hand as the first version writes it: this test stays when the format grows."""
    source = zoo.build(CONFIG).eval()
    save_file(dict(source.state_dict()), tmp_path / "model.safetensors")
    config = {
        "_target_": "zoo.models.vit.ViT", **TINY,
        "attention": {
            "_target_": "zoo.attention.Attention", "_partial_": True, "kernel": None,
            "score": {"_target_": "zoo.attention.ScaledDot", "_partial_": True},
            "pattern": {"_target_": "zoo.attention.Full"},
        },
        "position": {"_target_": "zoo.attention.Learned2D", "_partial_": True, "std": 0.2},
        "norm": {"_target_": "torch.nn.LayerNorm", "_partial_": True, "eps": 1e-6},
        "act": {"_target_": "zoo.layers.QuickGELU", "_partial_": True},
        "init": {"_target_": "zoo.layers.xavier", "_partial_": True},
    }  # fmt: skip
    preprocess = {"size": 8, "in_chans": 1, "mean": [0.1], "std": [0.2], "interpolation": "bicubic", "crop": 1.0}
    content = {"format": 1, "model": config, "preprocess": preprocess, "classes": ["a", "b", "c"]}
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = zoo.load(tmp_path)
    assert model.preprocess == Preprocess(8, 1, (0.1,), (0.2,)) and model.classes == ("a", "b", "c")
    assert torch.equal(model.head.weight, source.head.weight)


def change(folder, **content):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def pickled(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(print))


BROKEN = {
    "truncated": (truncated, r"model.safetensors' \(1000 bytes\) cannot be read: it is truncated"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "There is no file"),
    "pickle": (pickled, "cannot be read"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "config.json' cannot be read"),
    "of another tool": (lambda f: (f / "config.json").write_text('{"a": 1}'), "describes no model of attention-zoo"),
    "of timm": (lambda f: (f / "config.json").write_text('{"architecture": "vit_x"}'), r"timm has no model 'vit_x'; "),
    "newer": (lambda f: change(f, format=4), "has format 4, this version reads up to 3"),
    "other shape": (
        lambda f: change(f, model={**CONFIG, "dim": 32}),
        r"cls_token \(\[1, 1, 16\] there, \[1, 1, 32\] here\)",
    ),
    "other depth": (lambda f: change(f, model={**CONFIG, "depth": 2}), r"only in the model: blocks.1"),
    "mistyped": (lambda f: change(f, model={**CONFIG, "dpeth": 2}), "dpeth"),
    "A8, code": (lambda f: change(f, model={"_target_": "os.system", "command": "true"}), "may not be instantiated"),
    "A8, nested": (
        lambda f: change(f, model={**CONFIG, "act": {"_target_": "builtins.exec", "_partial_": True}}),
        "may not be instantiated",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_by_a_sentence(model, tmp_path, damage, sentence):
    """A7: no pickle is read. A8: only targets of an allow-list are built."""
    folder = zoo.save(model, tmp_path / "model")
    (folder / "card.json").unlink()  # else the hashes of what was damaged are named first
    damage(folder)
    with pytest.raises(zoo.ZooError, match=sentence):
        zoo.load(folder)


def test_what_is_no_run_is_refused_by_what_there_is(tmp_path):
    (tmp_path / "run_1" / "checkpoints").mkdir(parents=True)
    with pytest.raises(zoo.ZooError, match=r"There is no folder .*did you mean 'run_1'"):
        zoo.load(tmp_path / "run_2")
    with pytest.raises(zoo.ZooError, match="it holds checkpoints"):
        zoo.load(tmp_path / "run_1")
    (tmp_path / "run_1" / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(zoo.ZooError, match=r"did not finish.*init=.*last.ckpt"):
        zoo.load(tmp_path / "run_1")


def test_models_that_cannot_be_described_are_refused(model, tmp_path):
    with pytest.raises(zoo.ZooError, match="Linear has no config"):
        zoo.save(nn.Linear(1, 1), tmp_path / "model")
    model.config = {**CONFIG, "norm": partial(nn.LayerNorm)}
    with pytest.raises(zoo.ZooError, match="config is not plain"):
        zoo.save(model, tmp_path / "model")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["gpt_mini", "llama_mini", "bert_mini", "vit_tiny_patch16_224"])
def test_loading_draws_no_numbers_to_write_over_them(name, tmp_path):
    """Half of the time that gpt2 took; and what is drawn next is what would have been."""
    saved = zoo.create_model(name)
    zoo.save(saved, tmp_path)
    before = torch.get_rng_state()
    found = zoo.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, found.state_dict()[key]) for key, tensor in saved.state_dict().items())
    x = torch.randn(1, 3, 224, 224) if name.startswith("vit") else torch.arange(9)[None]
    assert torch.equal(found(x), saved.eval()(x)), "what is in no file was made as ever"


def test_half_a_letter_in_the_name_of_a_class_is_refused():
    """JSON may hold it, and no file of text or terminal that the name goes to."""
    from zoo.pretrained.facts import classes

    with pytest.raises(ZooError, match="half of a letter"):
        classes(json.loads('["\\ud800a", "b"]'), "config.json")
    assert classes(json.loads('["\\ud83d\\ude00"]'), "config.json") == ("\U0001f600",)
