"""Decoding in a test: its options, BLEU as sacrebleu counts it, each row once, predictions kept (C10)."""

import json
import sys
from dataclasses import dataclass

import pytest
import torch

from datamodules.pairs import PairCorpus, PairData
from tests.training.compose import compose
from zoo.errors import ZooError
from zoo.tasks.bleu import bleu
from zoo.tasks.decoding import Decoding, of_all
from zoo.training import evaluation
from zoo.training.run import train

SMALL = ("model=luong", "model.dim=8", "data.batch_size=8", "trainer.max_epochs=1", "callbacks=none", "~logger")


@dataclass(kw_only=True, eq=False, repr=False)
class Greetings(PairData):
    """Words, so that BLEU has something to count."""

    def load(self):
        sources = ["guten Morgen", "guten Tag", "gute Nacht, liebe Leute", "auf Wiedersehen !"] * 6
        targets = ["Good morning", "Good day", "Good night, dear people", "See you again!"] * 6
        return PairCorpus(
            sources, targets, {"train": torch.arange(16), "val": torch.arange(16, 20), "test": torch.arange(20, 24)}
        )


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"), "task.decode.num_beams=2")


def trained(tmp_path, *words):
    data = Greetings(cache=str(tmp_path), batch_size=8)
    data.setup()
    return train(compose(*SMALL, *words, run=tmp_path), None, data=data)


def test_bleu_is_sacrebleus():
    """Of whole texts; several references, of each its own number; small letters; an interval of resampled texts."""
    from sacrebleu.metrics import BLEU

    said, truth = ["The cat sat on the mat.", "A dog runs here now"], ["The cat sat on a mat.", "a dog runs here now"]
    found = bleu(said, [[text] for text in truth], resamples=50)
    assert found.score == pytest.approx(BLEU().corpus_score(said, [truth]).score)
    assert "case:mixed" in found.signature and "tok:13a" in found.signature and found.spread > 0
    small = bleu(said, [[text] for text in truth], lowercase=True)
    assert small.score > found.score and "case:lc" in small.signature and small.spread is None
    several = bleu(said, [[truth[0], said[0]], [truth[1]]])
    assert several.score > found.score and "nrefs:var" in several.signature
    assert bleu(said, [[text] for text in said]).score == pytest.approx(100)


def test_a_test_says_bleu_and_keeps_what_was_said(record):
    """C10's perplexity, BLEU of both kinds with their signatures, exact match, and each row in words."""
    rows = record.task.predictions
    assert [row["row"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["source"] == "guten Morgen" and rows[0]["references"] == ["Good morning"]
    metrics = record.metrics
    score = bleu([row["prediction"] for row in rows], [row["references"] for row in rows])
    assert metrics["test/bleu"] == pytest.approx(score.score, rel=1e-5)
    assert record.task.signatures["test/bleu"] == score.signature
    assert "case:lc" in record.task.signatures["test/bleu_lc"] and metrics["test/bleu_lc"] >= metrics["test/bleu"]
    right = sum(row["prediction"] == row["references"][0] for row in rows) / 4
    assert metrics["test/exact_match"] == pytest.approx(right)
    assert metrics["test/perplexity"] == pytest.approx(torch.tensor(metrics["test/loss"]).exp().item())
    again = evaluation.test_on(
        record.task.model, record.data, {"_target_": "zoo.tasks.translation.Translation", "decode": {"num_beams": 2}}
    )
    assert again.metrics["test/bleu"] == pytest.approx(metrics["test/bleu"], rel=1e-5)


def test_beams_are_those_of_generate_and_a_target_has_its_own_limit(record):
    """Twice its source's tokens and 10, whatever sentence it shares a batch with."""
    model, batch = record.task.model.eval(), next(iter(record.data.test_dataloader()))
    short = batch.lengths.argmin()
    how = Decoding()
    limits = how.limits(batch)
    assert limits.tolist() == (2 * batch.lengths + 10).tolist()
    said = how.say(model, batch)
    made = model.generate(batch.source[short : short + 1, : batch.lengths[short]], max_new_tokens=int(limits[short]))
    alone = made.ids[0, : made.lengths[0]].tolist()
    assert said[int(batch.sample[short])] == [id for id in alone if id != model.tokenizer.eos]
    beams = Decoding(num_beams=3, max_new_tokens=4, length_penalty=0.5).say(model, batch)
    made = model.generate(batch.source, batch.lengths, num_beams=3, max_new_tokens=4, length_penalty=0.5)
    cut = [row[:n] for row, n in zip(made.ids.tolist(), made.lengths.tolist(), strict=True)]
    assert list(beams.values()) == [[id for id in row if id != model.tokenizer.eos] for row in cut]


def test_strings_without_words_have_no_bleu_and_need_no_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    words = ("data.sizes=[16,4,4]", "data.letters=3", "data.longest=6", f"paths.cache={tmp_path}")
    record = train(compose(*SMALL, *words, run=tmp_path), None)
    assert "test/exact_match" in record.metrics and not record.task.signatures
    assert "test/bleu" not in record.metrics and len(record.task.predictions) == 4


def test_a_missing_package_is_told_before_training(tmp_path, monkeypatch, record):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(
        ZooError, match=r"test/bleu needs the package sacrebleu.*attention-zoo\[text\].*task.bleu=false"
    ):
        trained(tmp_path, "trainer.max_epochs=0")
    task = {"_target_": "zoo.tasks.translation.Translation", "bleu": False}
    assert "test/bleu" not in evaluation.test_on(record.task.model, record.data, task).metrics


def test_each_row_once_over_processes(monkeypatch):
    def gather(everyone, mine):
        everyone[:] = [{2: [7], 0: [5]}, {1: [6], 2: [7]}]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert list(of_all({2: [7], 0: [5]}, 2).items()) == [(0, [5]), (1, [6]), (2, [7])]
    assert of_all({1: [3], 0: [2]}, 1) == {0: [2], 1: [3]}


def test_a_run_keeps_predictions_and_signatures(tmp_path, record):
    from zoo.training.summary import finish

    finish(record, tmp_path / "run", [], {})
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == record.task.predictions
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["signatures"] == record.task.signatures and "version:" in summary["signatures"]["test/bleu"]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (dict(num_beams=0), r"task.decode.num_beams=0 is not a number of them; give a whole number from 1 on"),
        (dict(num_beams=2.5), r"task.decode.num_beams=2.5 is not"),
        (dict(max_new_tokens=0), r"task.decode.max_new_tokens=0 is not"),
        (dict(length_penalty="long"), r"task.decode.length_penalty=long is not a number"),
        (dict(length_penalty=float("nan")), r"task.decode.length_penalty=nan is not a number from -20 to 20"),
        (dict(beams=3), r"task.decode.beams is not an option of decoding; did you mean 'num_beams'"),
        (5, r"task.decode=5 is not a set of options"),
    ],
)
def test_bad_input_is_a_sentence(given, match):
    with pytest.raises(ZooError, match=match):
        Decoding.of(given)


def test_no_beams_are_refused_before_training(tmp_path):
    with pytest.raises(ZooError, match=r"task.decode.num_beams=0"):
        trained(tmp_path, "task.decode.num_beams=0", "trainer.max_epochs=0")


def test_more_bleu_is_better():
    from zoo.training.figures import direction, equal

    assert direction("test/bleu") == direction("test/bleu_lc") == "max" and direction("test/loss") == "min"
    assert equal("test/bleu", 30.0, 30.1, 9000) and not equal("test/bleu", 30.0, 31.0, 9000)
