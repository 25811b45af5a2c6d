"""`report senses`: what is asked, and what one vector a word can know."""

import csv

import numpy as np
import pytest

from datamodules.text import Senses
from zoo.errors import ZooError
from zoo.reports.senses import probe, read, run, vectors
from zoo.reports.senses.draw import Plane, apart
from zoo.text import train_tokenizer


def test_one_vector_a_word_is_right_in_exactly_half_of_balanced_sentences():
    train, test = np.zeros((20, 4)) + 3.0, np.zeros((8, 4)) + 3.0
    labels = np.array([0, 1] * 10)
    fold = np.arange(20) // 5
    assert (probe.predict(train, labels, test, fold) == labels[:8]).mean() == 0.5
    told = np.concatenate([train, 2.0 * labels[:, None]], 1)
    assert (probe.predict(told, labels, told, fold) == labels).all()


def test_the_interval_counts_frames_and_not_sentences():
    answers = [probe.Answers(seed, "x", word, 72, 72, 6) for seed in (0, 1) for word in ("manga", "banco", "vela")]
    (row,) = probe.summarise(answers)
    assert row.accuracy == 1 and row.by_word == (1, 1, 1) and row.frames == 36
    assert row.interval == pytest.approx((36 / (36 + 1.959964**2), 1))  # Wilson's, of 36 in 36
    half = [probe.Answers(0, "x", "manga", 72, 36, 6)]
    low, high = probe.summarise(half)[0].interval
    assert low < 0.5 < high and low + high == pytest.approx(1)


def test_the_place_of_a_noun_is_its_token():
    data = Senses(each=1)
    tokenizer = train_tokenizer("wordpiece", [each.text for each in data.parts["train"]], 4000)
    known = tokenizer.id("manga")
    for each in data.sentences("test"):
        if each.noun == "manga":
            assert vectors.token(tokenizer, each) == known


def test_the_plane_goes_from_one_field_to_the_other():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(6, 5)), draw.normal(size=(6, 5)) + 2
    plane = Plane.of(first, second)
    assert plane(first)[0].mean() == pytest.approx(-1) and plane(second)[0].mean() == pytest.approx(1)
    assert plane((first.mean(0, keepdims=True) + second.mean(0)) / 2)[0] == pytest.approx(0)
    assert apart(np.array([0.0, 0.1, 0.2, 3.0]), 0.5).tolist() == [0, 0.5, 1, 3]  # names of points that lie close


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["seeds=a"], "whole numbers are meant"),
        (["sedes=1"], "did you mean 'seeds'"),
        (["model=gpt"], "is of model=bert and data=senses"),
        (["processes=0"], "processes=0 is not a number of processes"),
        (["processes=two"], "processes=two is not a number of processes"),
        (["banco"], "not a setting of this study"),
    ],
)
def test_bad_words(words, sentence):
    with pytest.raises(ZooError, match=sentence):
        read(words)


@pytest.mark.slow
def test_a_small_study_by_any_number_of_processes(tmp_path, capsys):
    pytest.importorskip("gensim")
    said = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        small = ("model.dim=8", "data.each=2", "trainer.max_epochs=1", f"data.cache={tmp_path}")
        run(["seeds=0,1", f"processes={processes}", f"out={out}", *small])
        rows = list(csv.DictReader((out / "senses.csv").read_text().splitlines()))
        assert [row["seed"] for row in rows] == ["0"] * 15 + ["1"] * 15
        static = [row for row in rows if "one vector a word" in row["vectors"]]
        assert len(static) == 12 and all(float(row["accuracy"]) == 0.5 for row in static)
        assert all((out / f"{word}.png").stat().st_size > 10_000 for word in ("manga", "banco", "vela"))
        table = capsys.readouterr().out.partition("senses.csv")[0]
        assert "right senses on held-out frames" in table
        said[processes] = table, (out / "senses.csv").read_text()
    assert said[1] == said[2]
