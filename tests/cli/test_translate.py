"""`python -m zoo translate`: what zoo.translate gives, printed or written line for line, and the alignment as a picture."""

import inspect
from pathlib import Path

import pytest
import torch

import zoo as library
from zoo.cli._decoding import OPTIONS
from zoo.generation.pairs import generate
from zoo.text import train_tokenizer

TOKENIZER = train_tokenizer("char", ["abcdefgh "], special=True)
PNG = b"\x89PNG"
KINDS = {"run": "bahdanau", "plain": "seq2seq", "deep": "transformer_2017"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Model folders: with attention, without, with two layers of two heads."""
    folder = tmp_path_factory.mktemp("runs")
    for name, kind in KINDS.items():
        torch.manual_seed(1)
        more = {"depth": 2, "num_heads": 2} if name == "deep" else {}
        v = TOKENIZER.vocab_size
        model = library.create_model(kind, source_vocab=v, target_vocab=v, dim=8, **more)
        for p in model.parameters():
            p.data *= 2
        model.tokenizer = TOKENIZER
        library.save(model, folder / name)
    return folder


def test_every_option_of_generate_is_here():
    known = inspect.signature(generate).parameters
    assert {*OPTIONS, "stop"} == known.keys() - {"model", "source", "lengths", "begin", "stream", "suppress_tokens"}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--num-beams", "3", "--length-penalty", "0.5", "--max-new-tokens", "9"),
        ("--temperature", "1", "--seed", "3", "--top-k", "4", "--top-p", "0.9", "--min-p", "0.01"),
        ("--repetition-penalty", "1.3", "--stop", "a", "--stop", "b"),
    ],
)
def test_what_is_printed_is_what_translate_gives(zoo, runs, words):
    code, out, err = zoo("translate", runs / "run", "abc", *words, "hgf")
    assert code == 0, err
    how = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        key = name.removeprefix("--").replace("-", "_")
        how[key] = [*how.get(key, []), value] if key == "stop" else OPTIONS[key].type(value)
    first, second = library.translate(library.load(runs / "run"), ["abc", "hgf"], **how)
    lines = out.splitlines()
    assert [lines[0], lines[2]] == [first, second]
    assert [Path(line).name for line in lines[1::2]] == ["alignment-abc.png", "alignment-hgf.png"]
    assert all(Path(line).read_bytes()[:4] == PNG for line in lines[1::2])


@pytest.mark.parametrize("words, panels", [((), 2), (("--layer", "1"), 1), (("--layer", "0", "--head", "1"), 1)])
def test_a_panel_a_layer_that_looks(zoo, runs, monkeypatch, words, panels):
    kept = []
    monkeypatch.setattr("zoo.inspect.alignment.plot_alignments", lambda drawn, png, _: kept.extend(drawn) or png)
    assert zoo("translate", runs / "deep", "abc", *words, "--out", "a.png")[0] == 0
    assert len(kept) == panels and all(each.source == list("abc") for each in kept)
    for each in kept:
        assert each.weights.shape == (len(each.target), 3)
        torch.testing.assert_close(each.weights.sum(-1), torch.ones(len(each.target)))


def test_without_attention_there_is_no_figure_and_a_line_says_so(zoo, runs):
    code, out, err = zoo("translate", runs / "plain", "abc")
    assert code == 0 and out == library.translate(library.load(runs / "plain"), "abc")[0] + "\n"
    assert "Seq2Seq does not look back" in err and not list(Path().iterdir())


def test_an_empty_sentence_stays_one(zoo, runs):
    code, out, _ = zoo("translate", runs / "run", "")
    assert code == 0 and out == "\n" and not list(Path().iterdir())


def test_of_a_file_line_n_is_line_n(zoo, runs):
    Path("in.txt").write_bytes(b"\xef\xbb\xbfabc\r\n\n   \nhgf\nfedcba")
    code, out, err = zoo("translate", runs / "run", "--file", "in.txt", "--out", "out.txt", "--batch-size", "2")
    texts = ["abc", "", "", "hgf", "fedcba"]
    assert code == 0 and out == f"{Path('out.txt').absolute()}: 5 lines\n"
    assert err == "2 empty, and left so: line 2, 3\n"
    want = library.translate(library.load(runs / "run"), texts)
    assert Path("out.txt").read_text(encoding="utf-8") == "".join(f"{text}\n" for text in want)
    code, out, _ = zoo("translate", runs / "run", "--file", "in.txt")
    assert code == 0 and out.splitlines() == want


def test_a_bad_line_is_told_with_its_number_and_nothing_is_written(refused, runs):
    for content, said in {
        b"abc\nab\xff\n": "line 2: the line is no UTF-8",
        "abc\n\nz\u00fcg\n".encode(): "line 3: ",
        b"abc\n" + b"a" * (1 << 20) + b"a\n": "line 2: the line is longer than",
    }.items():
        Path("in.txt").write_bytes(content)
        Path("out.txt").write_text("before")
        assert f"in.txt, {said}" in refused("translate", runs / "run", "--file", "in.txt", "--out", "out.txt")
        assert Path("out.txt").read_text() == "before" and {p.name for p in Path().iterdir()} == {"in.txt", "out.txt"}


def test_a_line_end_that_the_model_says_ends_no_line(zoo, runs, monkeypatch):
    from zoo.generation.translations import Translated

    Path("in.txt").write_text("abc\nab\n")
    said = [Translated("a\u2028b\nc", [1], [1]), Translated("d", [1], [1])]
    monkeypatch.setattr("zoo.generation.translations.translations", lambda *_, **__: iter(said))
    assert zoo("translate", runs / "run", "--file", "in.txt", "--out", "out.txt")[0] == 0
    assert Path("out.txt").read_text() == "a b c\nd\n"


def test_what_is_refused_is_refused_before_anything_is_told(refused, runs, run):
    Path("in.txt").write_text("abc\n")
    Path("empty.txt").touch()
    for words, said in {
        (runs / "run", "--file", "empty.txt", "--out", "out.txt"): "empty.txt is empty: there is nothing to translate",
        (runs / "run", "abc", "--length-penalty", "nan"): "length_penalty=nan is not",
        (runs / "run",): "nothing to translate",
        (runs / "run", "abc", "--file", "in.txt"): "several sources",
        (runs / "run", "--file", "no.txt"): "no.txt",
        (runs / "run", "--file", "in.txt", "--out", "in.txt"): "is the file that is read",
        (runs / "run", "--file", "in.txt", "--out", "."): "is a folder",
        (runs / "run", "--file", "in.txt", "--layer", "0"): "--layer 0 is for a figure",
        (runs / "run", "--file", "in.txt", "--batch-size", "0"): "batch_size",
        (runs / "run", "abc", "--batch-size", "2"): "--batch-size 2 is for --file",
        (runs / "run", "abc", "--layer", "1"): "--layer 1 is not there",
        (runs / "deep", "abc", "--head", "2"): "--head 2 is not there",
        (runs / "plain", "abc", "--head", "mean"): "does not look back",
        (runs / "run", "abc", "--out", "a.txt"): "not a .png",
        (runs / "run", "abc", "--num-beams", "0"): "num_beams",
        (runs / "run", "abc", "--num-beams", "2", "--temperature", "1"): "searches for the likeliest",
        (run, "abc"): "ViT does not say one sentence for another",
        (runs / "nothing", "abc"): "nothing",
    }.items():
        assert said in refused("translate", *words), words
    assert {path.name for path in Path().iterdir()} == {"in.txt", "empty.txt"}


def test_predict_and_generate_point_here(refused, runs):
    for verb in ("predict", "generate"):
        assert "python -m zoo translate" in refused(verb, runs / "run", "abc")
