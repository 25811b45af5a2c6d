"""A7, A8: folders of captioners by somebody who means ill, or cut off: what reads one says a sentence, and runs nothing."""

import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import zoo
from tests.hostile.conftest import verb
from tests.hostile.files import GONE, HUGE, SHELL, put
from zoo.errors import ZooError
from zoo.preprocess import Preprocess
from zoo.pretrained import initialise
from zoo.text import train_tokenizer

CONFIG = {
    "_target_": "zoo.models.pairs.captioner.Captioner", "img_size": 8, "patch_size": 4, "in_chans": 1, "dim": 8, "depth": 1,
    "num_heads": 2,
}  # fmt: skip
DOORS = {
    "predict": verb("predict", "{run}", "{here}/image.png", "--out", "{here}/out.png"),
    "load": zoo.load,
    "init": lambda run: initialise(CONFIG | {"target_vocab": 12}, str(run), {"img_size": 8, "in_chans": 1}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder that says images."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    says = train_tokenizer("char", ["a digit "], special=True)
    model = zoo.build(CONFIG | {"target_vocab": says.vocab_size})
    model.tokenizer, model.preprocess = says, Preprocess(8, 1, (0.3,), (0.4,))
    zoo.save(model, folder / "run")
    for told in ("card.json", "README.md"):  # with hashes, which would find any change at once
        (folder / "run" / told).unlink()
    Image.new("L", (8, 8)).save(folder / "image.png")
    return folder


@pytest.fixture
def run(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


def refuse(door, run, match="."):
    with pytest.raises(ZooError, match=match):
        DOORS[door](run)
    assert {path.name for path in run.parent.iterdir()} == {"run", "image.png"}


def test_the_whole_folder_goes_through(run):
    DOORS["predict"](run)
    assert (run.parent / "out.png").is_file()


@pytest.mark.parametrize(
    "name, keys, value",
    [
        ("config.json", ("model",), SHELL),
        ("config.json", ("model", "_target_"), "zoo.models.vit.ViT"),
        ("config.json", ("model", "text_position"), SHELL),
        ("config.json", ("model", "order"), "sandwich"),
        ("config.json", ("model", "order"), SHELL),
        ("config.json", ("model", "dim"), HUGE),
        ("config.json", ("model", "dim"), -8),
        ("config.json", ("model", "decoder_depth"), HUGE),
        ("config.json", ("model", "decoder_depth"), "x"),
        ("config.json", ("model", "img_size"), 10**6),
        ("config.json", ("model", "img_size"), [8, 8, 8]),
        ("config.json", ("model", "patch_size"), None),
        ("config.json", ("model", "mlp_ratio"), 1e12),
        ("config.json", ("model", "reg_tokens"), -1),
        ("config.json", ("model", "target_vocab"), 5),
        ("config.json", ("preprocess", "size"), -1),
        ("config.json", ("preprocess", "size"), 10**9),
        ("config.json", ("preprocess", "in_chans"), 3),
        ("config.json", ("preprocess", "mean"), ["x"]),
        ("config.json", ("preprocess", "std"), [0.0]),
        ("config.json", ("preprocess", "crop"), 1e-9),
        ("config.json", ("preprocess", "interpolation"), "os.system"),
        ("config.json", ("preprocess",), SHELL),
        ("config.json", ("tokenizer",), [1]),
        ("tokenizer.json", ("characters",), HUGE),
        ("tokenizer.json", ("characters",), "abcdef" * 99),
        ("tokenizer.json", ("kind",), "os.system"),
    ],
    ids=lambda given: "-".join(map(str, given)) if isinstance(given, tuple) else str(given)[:20],
)
@pytest.mark.parametrize("door", DOORS)
def test_a_value_that_is_none_is_a_sentence(run, door, name, keys, value):
    put(run / name, keys, value)
    refuse(door, run)


def test_without_its_preprocessing_or_tokenizer_it_says_nothing(run):
    put(run / "config.json", ("preprocess",), GONE)
    refuse("predict", run, "preprocess")
    put(run / "config.json", ("preprocess",), None)
    refuse("predict", run, "preprocess")


def test_weights_that_are_no_numbers(run):
    state = load_file(run / "model.safetensors")
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}, run / "model.safetensors")
    for door in DOORS:
        refuse(door, run, "NaN")
