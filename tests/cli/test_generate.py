"""`python -m zoo generate`: what zoo.generate gives, printed as it comes."""

import inspect

import pytest
import torch

import zoo as library
from zoo.cli.generate import OPTIONS
from zoo.generation import generate
from zoo.text import train_tokenizer

CONFIG = {"_target_": "zoo.models.language.llama.Llama", "context": 128, "dim": 16, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A model folder and one of a smaller model, with one tokenizer."""
    folder, tokenizer = tmp_path_factory.mktemp("runs"), train_tokenizer("byte", ["text"])
    for name, depth in (("run", 2), ("draft", 1)):
        torch.manual_seed(depth)
        model = library.build({**CONFIG, "depth": depth, "vocab_size": tokenizer.vocab_size})
        model.tokenizer = tokenizer
        library.save(model, folder / name)
    return folder


def test_every_option_of_generate_is_here():
    """`ids`, `mask` and `stream` are no matter of a command line; `stop` and `compile` are flags of their own form."""
    known = inspect.signature(generate).parameters
    assert {*OPTIONS, "stop", "compile"} == known.keys() - {"model", "ids", "mask", "stream"}


@pytest.mark.parametrize(
    "words",
    [
        ("--temperature", "0", "--max-new-tokens", "12"),
        ("--seed", "3", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.01", "--repetition-penalty", "1.2"),
        ("--temperature", "0", "--num-beams", "2", "--max-new-tokens", "4", "--length-penalty", "0.5"),
        ("--temperature", "0", "--prefill-chunk", "2", "--cache", "full", "--max-new-tokens", "3"),
        ("--stop", "q", "--stop", "e", "--seed", "1"),
        ("--cache", "none", "--draft", "lookup", "--seed", "2"),
    ],
)
def test_what_is_printed_is_what_generate_gives(zoo, runs, words):
    from zoo.errors import printable

    code, out, err = zoo("generate", runs / "run", "a text", *words)
    assert code == 0, err
    how = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        key = name.removeprefix("--").replace("-", "_")
        if key == "stop":
            how.setdefault("stop", []).append(value)
        else:
            how[key] = OPTIONS[key].type(value)
    (text,) = library.generate(library.load(runs / "run"), ["a text"], **how)
    assert out == printable("a text" + text, kept="\n\t") + "\n"
    assert ("of the tokens that the draft proposed were kept" in err) is ("--draft" in words)


def test_a_draft_changes_nothing_of_what_is_likeliest(zoo, runs):
    words = ("a text", "--temperature", "0", "--max-new-tokens", "10")
    plain = zoo("generate", runs / "run", *words)
    assert plain[0] == 0 and zoo("generate", runs / "run", *words, "--draft", runs / "draft")[:2] == plain[:2]


@pytest.mark.parametrize("filled, new", [(4, 64), (100, 29), (128, 1)])
def test_as_many_tokens_as_there_is_room_for(zoo, runs, monkeypatch, filled, new):
    asked = []
    monkeypatch.setattr("zoo.generate", lambda *_, **how: asked.append(how["max_new_tokens"]) or iter(()))
    assert zoo("generate", runs / "run", "x" * filled)[0] == 0 and asked == [new]


def test_letters_that_move_the_terminal_are_shown_as_codes(zoo, runs, monkeypatch):
    pieces = ["a\x1b[2J", "\u202e", "\nb\t\r", "\ud800"]
    monkeypatch.setattr("zoo.generate", lambda *_, **__: iter(pieces))
    code, out, _ = zoo("generate", runs / "run", "x")
    assert code == 0 and out == "xa\\x1b[2J\\u202e\nb\t\\r\\ud800\n"


def test_what_is_refused_is_refused_before_anything_is_told(refused, runs, run):
    for words, said in {
        (runs / "run", "a", "--temperature", "-1"): "temperature",
        (runs / "run", "a", "--top-p", "1.5"): "top_p",
        (runs / "run", "a", "--num-beams", "2"): "beams",
        (runs / "run", "a", "--max-new-tokens", "0"): "max_new_tokens",
        (runs / "run", "a", "--temperatur"): "--temperatur",
        (run, "a"): "writes no text",
        (runs / "nothing", "a"): "nothing",
    }.items():
        assert said in refused("generate", *words), words
