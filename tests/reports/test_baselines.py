"""`python -m zoo report baselines`: each modality has its own."""

import random
import re

import pytest

from zoo.cli import main
from zoo.reports.baselines import ROOMS
from zoo.reports.baselines.texts import figures
from zoo.reports.ngrams import WittenBell
from zoo.training.compressors import bits_per_byte


@pytest.fixture
def report(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["report", "baselines", *map(str, words)])
        return code, *capsys.readouterr()

    return call


def test_texts(report, tmp_path):
    draw = random.Random(0)
    for i in range(20):
        (tmp_path / f"{i}.txt").write_text(" ".join(draw.choices(["one", "two", "three", "four"], k=100)))
    code, out, err = report("data=textfile", f"data.path={tmp_path}", "data.split=[0.6,0.2,0.2]")
    assert code == 0, err
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("TextFile: bits a byte")
    cells = [re.split(r" {2,}", line) for line in lines[2:]]
    shown = {name: float(bits) for name, bits, *_ in cells}
    assert list(shown) == [*(f"{n}-gram of bytes" for n in range(1, 7)), "gzip -9", "xz"]
    assert sum("chosen on the validation part" in line for line in lines) == 1
    assert shown["6-gram of bytes"] < shown["1-gram of bytes"]


def test_the_order_is_that_of_the_validation_part():
    parts = {"train": ["abcabcabc" * 5], "val": ["abcabc"], "test": ["cabcab", "xyz"]}
    val, test = figures(parts.__getitem__)
    counted = WittenBell(parts["train"])
    for order in range(1, 7):
        assert val[order] == counted.bits(parts["val"])[0][order - 1] / 6
        assert test[order] == counted.bits(parts["test"])[0][order - 1] / 9
    assert bits_per_byte(parts["train"], parts["test"]).keys() == {"gzip -9", "xz"}


def test_texts_with_labels(report, tmp_path):
    draw = random.Random(0)
    words = {"up": ["rise", "climb"], "down": ["fall", "sink"]}
    lines = [f"{draw.choice(['a', 'the'])} {draw.choice(words[label])},{label}" for label in words for _ in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]))
    code, out, err = report("data=textcsv", f"data.path={tmp_path / 'a.csv'}", "data.text=text", "data.label=label")
    assert code == 0, err
    assert "words and pairs" in out and "accuracy 100.00 %" in out


def test_graphs(report):
    code, out, err = report("data=digits_knn")
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["features", "mean", "both"]


def test_what_is_refused(report, tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 50)
    for words, said in {
        ("data=digits",): "neither a graph nor text",
        ("model=gpt",): "'model=gpt' is not a setting",
        ("data=textfile", f"data.path={tmp_path / 'a.txt'}", "data.split=[0.5,0.5,0]"): "test part",
    }.items():
        code, out, err = report(*words)
        assert code == 2 and said in err and not out, err
    assert set(ROOMS.values()) == {"graphs", "texts"}
