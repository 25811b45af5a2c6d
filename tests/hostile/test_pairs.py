"""A7, A8: model folders of pairs by somebody who means ill, or cut off: `translate` says a sentence, and runs nothing."""

import os
from pathlib import Path

import pytest
import torch

import zoo
from tests.hostile.conftest import verb
from tests.hostile.files import GONE, HUGE, SHELL, put
from zoo.errors import ZooError
from zoo.text import train_tokenizer

FILES = ("config.json", "tokenizer.json", "source_tokenizer.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder that translates, with a tokenizer a side, of more tokens for what is said than for what is read."""
    reads = train_tokenizer("char", ["abcdef "], special=True)
    says = train_tokenizer("bpe", ["uv wx yz " * 9], vocab_size=266, special=True)
    torch.manual_seed(0)
    sizes = {"source_vocab": reads.vocab_size, "target_vocab": says.vocab_size}
    model = zoo.create_model("transformer_2017", **sizes, dim=8, depth=1, num_heads=2)
    model.tokenizer, model.source_tokenizer = says, reads
    folder = zoo.save(model, tmp_path_factory.mktemp("whole") / "model")
    for told in ("card.json", "README.md"):  # with hashes, which would find any change at once
        (folder / told).unlink()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name, content in whole.items():
        (tmp_path / "run" / name).write_bytes(content)
    return tmp_path / "run"


translate = verb("translate", "{run}", "abc", "--max-new-tokens", "3", "--out", "{here}/out.png")


def test_the_whole_folder_goes_through(folder):
    translate(folder)
    assert (folder.parent / "out.png").is_file()


@pytest.mark.parametrize(
    "name, path, value",
    [
        ("config.json", ("model",), SHELL),
        ("config.json", ("model", "_target_"), "zoo.models.language.gpt.GPT"),
        ("config.json", ("model", "attention"), SHELL),
        ("config.json", ("model", "source_vocab"), HUGE),
        ("config.json", ("model", "target_vocab"), None),
        ("config.json", ("model", "dim"), HUGE),
        ("config.json", ("model", "depth"), 10**6),
        ("config.json", ("model", "num_heads"), 3),
        ("config.json", ("model", "joint"), True),
        ("config.json", ("model", "begin_tokens"), [266]),
        ("config.json", ("model", "begin_tokens"), "ab"),
        ("config.json", ("model", "end_tokens"), [-1]),
        ("config.json", ("model", "end_tokens"), "ab"),
        ("config.json", ("model", "end_tokens"), [[1]]),
        ("config.json", ("model", "suppress_tokens"), [True]),
        ("config.json", ("model", "suppress_tokens"), [HUGE]),
        ("config.json", ("tokenizer",), [1]),
        ("config.json", ("tokenizer",), GONE),
        ("config.json", ("tokenizer", "bos"), HUGE),
        ("config.json", ("source_tokenizer",), GONE),
        ("config.json", ("source_tokenizer",), SHELL),
        ("tokenizer.json", ("model", "merges"), -1),
        ("tokenizer.json", ("model", "vocab"), GONE),
        ("tokenizer.json", ("model",), SHELL),
        ("source_tokenizer.json", ("characters",), "abcdef" * 99),
        ("source_tokenizer.json", ("characters",), HUGE),
        ("source_tokenizer.json", ("kind",), "os.system"),
        ("source_tokenizer.json", ("_target_",), "os.system"),
    ],
    ids=lambda given: "-".join(map(str, given)) if isinstance(given, tuple) else str(given)[:20],
)
def test_a_value_that_is_none_is_a_sentence(folder, name, path, value):
    put(folder / name, path, value)
    with pytest.raises(ZooError, match="error: "):
        translate(folder)
    if path[-1].endswith("_tokens"):
        with pytest.raises(ZooError, match=r"no id of what is said|larger than"):
            zoo.load(folder)
    assert {each.name for each in Path().iterdir()} == {"run"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["missing", "empty", "half", "noise"])
def test_a_file_that_is_none_is_a_sentence(folder, name, how):
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if how != "missing":
        left = {"empty": b"", "half": content[: len(content) // 2], "noise": b"\xff" + os.urandom(40)}[how]
        (folder / name).write_bytes(left)
    with pytest.raises(ZooError, match="error: "):
        translate(folder)
    assert {each.name for each in Path().iterdir()} == {"run"}


def test_the_tokenizers_of_another_model_are_refused(folder):
    """The source's in place of the target's would do: it makes fewer ids; the other way round ids would be outside."""
    content = (folder / "tokenizer.json").read_text()
    (folder / "source_tokenizer.json").write_text(content)
    with pytest.raises(ZooError, match=r"the source_tokenizer has \d+ tokens and the model"):
        translate(folder)
