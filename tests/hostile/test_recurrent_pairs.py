"""A7, A8: folders and checkpoints of Bahdanau and Luong by somebody who means ill: what reads one says a sentence, and runs
nothing."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tests.hostile.conftest import verb
from tests.hostile.files import GONE, HUGE, SHELL, put
from zoo.errors import ZooError
from zoo.pretrained import initialise
from zoo.tasks.translation import Translation
from zoo.text import train_tokenizer

TEXT = ["ab cd ef fa ba dc " * 9]


def part(name, **settings):
    return {"_target_": f"zoo.attention.{name}", "_partial_": True, **settings}


LOCAL = part("LocalP", window=3, score=part("General"))
#: Family -> the model, and the kinds of its tokenizers: of what is read, of what is said.
MODELS = {
    "bahdanau": (
        "zoo.models.pairs.bahdanau.Bahdanau",
        part("Attention", score=part("Additive", hidden=8)),
        ("char", "bpe"),
    ),
    "luong": ("zoo.models.pairs.luong.Luong", part("Attention", score=LOCAL), ("words", "unigram")),
}
DOORS = {
    "translate": verb("translate", "{run}/model", "ab cd", "--max-new-tokens", "3", "--out", "{here}/out.png"),
    "load": lambda run: zoo.load(run / "model"),
    "init": lambda run: initialise(zoo.load(run.parent / "good" / "model").config, str(run / "model"), {}),
}
CHECKPOINT = {
    "load": lambda run: zoo.load(run / "last.ckpt"),
    "init": lambda run: initialise(zoo.load(run.parent / "good" / "model").config, str(run / "last.ckpt"), {}),
    "reload": lambda run: Translation.load_from_checkpoint(run / "last.ckpt"),
}


@pytest.fixture(scope="module", params=MODELS)
def whole(request, tmp_path_factory):
    """A run that translates, and its checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    target, attention, kinds = MODELS[request.param]
    torch.manual_seed(0)
    sizes = dict(vocab_size=270, min_count=1)
    reads, says = (train_tokenizer(kind, TEXT, **sizes) for kind in kinds)
    config = {"_target_": target, "source_vocab": reads.vocab_size, "target_vocab": says.vocab_size, "dim": 8}
    model = zoo.build({**config, "attention": attention})
    model.tokenizer, model.source_tokenizer = says, reads
    zoo.save(model, folder / "good" / "model")
    for told in ("card.json", "README.md"):  # with hashes, which would find any change at once
        (folder / "good" / "model" / told).unlink()
    task = Translation(model, {"_target_": "torch.optim.AdamW", "lr": 0.001})
    content = {"state_dict": task.state_dict(), "hyper_parameters": dict(task.hparams), "epoch": 1, "global_step": 2}
    task.on_save_checkpoint(content)
    torch.save(content, folder / "good" / "last.ckpt")
    return folder


@pytest.fixture
def run(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return shutil.copytree(whole / "good", tmp_path / "run")


def refuse(door, run, match="."):
    with pytest.raises(ZooError, match=match) as error:
        door(run)
    assert len(str(error.value)) < 2000 and "\x1b" not in str(error.value) and "\n" not in str(error.value).strip()
    assert {path.name for path in run.parent.iterdir()} == {"good", "run"}


def test_the_whole_run_goes_through(run):
    for door in (*DOORS.values(), *CHECKPOINT.values()):
        door(run)
    assert (run.parent / "out.png").is_file()


BAD = [
    (("model",), SHELL),
    (("model", "cell"), "os.system"),
    (("model", "cell"), "a" * 90_000),  # which the sentence does not repeat
    (("model", "cell"), "\x1b[2J"),
    (("model", "dim"), 7),
    (("model", "dim"), HUGE),
    (("model", "depth"), 10**6),
    (("model", "source_vocab"), 3),
    (("model", "attention"), SHELL),
    (("model", "attention"), part("LocalP")),
    (("model", "attention", "pattern"), part("Causal")),
    (("model", "attention", "pattern"), {"_target_": "zoo.attention.Causal"}),
    (("model", "attention", "pattern"), "a" * 90_000),
    (("model", "attention", "score"), SHELL),
    (("model", "attention", "score"), part("RoPE")),
    (("model", "attention", "score"), part("LocalP", window=1e300, score=part("LocalP", score=SHELL))),
    (("model", "attention", "score"), part("General", map=SHELL)),
    (("model", "attention", "projection"), part("RoPE")),
    (("model", "attention", "projection"), part("LSH")),
    (("model", "attention", "position"), {"_target_": "torch.load", "_partial_": True}),
    (("model", "remember"), SHELL),
]


@pytest.mark.parametrize("keys, value", BAD, ids=[f"{keys[-1]}-{str(value)[:20]}" for keys, value in BAD])
@pytest.mark.parametrize("door", DOORS)
def test_a_value_that_is_none_is_a_sentence(run, door, keys, value):
    put(run / "model" / "config.json", keys, value)
    refuse(DOORS[door], run)


@pytest.mark.parametrize("keys, value", BAD, ids=[f"{keys[-1]}-{str(value)[:20]}" for keys, value in BAD])
@pytest.mark.parametrize("door", CHECKPOINT)
def test_so_it_is_in_a_checkpoint(run, door, keys, value):
    content = torch.load(run / "last.ckpt", weights_only=True)
    node = content["hyper_parameters"]
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    torch.save(content, run / "last.ckpt")
    refuse(CHECKPOINT[door], run)


@pytest.mark.parametrize("part", ["RoPE", "LinearFeatures", "IdentityQKV"])
def test_what_fails_only_when_asked_is_a_sentence_too(run, part):
    """Parts of another kind with no weights of their own: nothing tells them apart from one of the reader's."""
    output = {"_target_": f"zoo.attention.{part}", "_partial_": True}
    put(run / "model" / "config.json", ("model", "attention", "output"), output)
    refuse(DOORS["translate"], run, "error: ")


@pytest.mark.parametrize("how", ["nan", "missing", "flat", "whole numbers"])
def test_other_weights(run, how):
    file = run / "model" / "model.safetensors"
    state = load_file(file)
    name = next(name for name in state if ".score." in name)
    change = {"nan": lambda t: t * torch.nan, "flat": torch.flatten, "whole numbers": torch.Tensor.long}
    state = (
        {**state, name: change[how](state[name])} if how in change else {k: t for k, t in state.items() if k != name}
    )
    if how == "flat" and state[name].shape == load_file(file)[name].shape:
        state[name] = state[name][:-1]
    save_file(state, file)
    for door in DOORS.values():
        refuse(door, run)


@pytest.mark.parametrize("how", ["both", "whole numbers"])
@pytest.mark.parametrize("whole", ["luong"], indirect=True)  # the family with General
def test_a_map_of_a_former_name_beside_its_own(run, how):
    """General's, whose root was W's own: the file's other tensor won, in silence."""
    file = run / "model" / "model.safetensors"
    state = load_file(file)
    names = [name for name in state if name.endswith(".map")]
    assert names
    for name in names:
        old = name.removesuffix("map") + "weight"
        state[old] = state[name].clone() if how == "both" else state.pop(name).long()
    save_file(state, file)
    for door in DOORS.values():
        refuse(door, run, "only in the checkpoint")


@pytest.mark.parametrize("gone", ["tokenizer", "source_tokenizer"])
def test_without_one_of_its_tokenizers_nothing_is_said(run, gone):
    put(run / "model" / "config.json", (gone,), GONE)
    refuse(DOORS["translate"], run)
