"""A text of the model's own at each validation, and what a run of a language model draws."""

import json
import logging

import pytest
import torch

import zoo
from datamodules.text import TextFile
from tests.tasks.tiny import ADAMW, make_trainer
from zoo.callbacks.figures import Figures
from zoo.callbacks.sample import Sample, writes
from zoo.errors import ZooError
from zoo.tasks.language_modelling import LanguageModelling

GPT = {"_target_": "zoo.models.language.gpt.GPT", "context": 16, "dim": 16, "depth": 2, "num_heads": 2}


@pytest.fixture
def text(tmp_path):
    """`text(tokenizer)`: data of one small file."""
    (tmp_path / "a.txt").write_text("the cat sat on the mat. " * 40)

    def made(**tokenizer):
        data = TextFile(path=str(tmp_path / "a.txt"), context=16, batch_size=8, split=[0.8, 0.1, 0.1],
                        cache=str(tmp_path / "cache"), tokenizer=tokenizer or {"kind": "byte"})  # fmt: skip
        data.setup()
        return data

    return made


def task_of(data, **more):
    torch.manual_seed(0)
    task = LanguageModelling(zoo.build({**GPT, "vocab_size": data.spec.vocab_size, **more}), ADAMW)
    task.model.tokenizer = data.spec.tokenizer
    return task


def kept(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_a_text_at_each_validation_logged_and_kept(tmp_path, text, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.sample")
    data = text()
    task = task_of(data)
    trainer = make_trainer(callbacks=[Sample(tmp_path, tokens=8)], max_epochs=2, num_sanity_val_steps=1)
    trainer.fit(task, datamodule=data)
    first, second = kept(tmp_path)
    assert [first["epoch"], second["epoch"]] == [0, 1] and first["step"] * 2 == second["step"]
    assert first["prompt"] == "" and first["text"] != second["text"]
    assert len([record for record in caplog.records if record.name == "zoo.callbacks.sample"]) == 2


def test_the_training_is_the_same_with_and_without(tmp_path, text):
    """A11: what is drawn has a generator of its own, and the model trains on as it did."""
    data, weights = text(), []
    for callbacks in ([], [Sample(tmp_path, tokens=8)]):
        task = task_of(data, dropout=0.1)
        torch.manual_seed(1)
        make_trainer(callbacks=callbacks, max_epochs=2).fit(task, datamodule=data)
        assert task.model.training
        weights.append(torch.cat([p.flatten() for p in task.model.parameters()]))
    assert torch.equal(*weights)


def test_a_resumed_run_replaces_what_lies_beyond(tmp_path):
    sample = Sample(tmp_path)
    for step in (5, 10, 15, 10, 15):
        sample._keep({"epoch": step // 5, "step": step, "prompt": "", "text": f"\u4f60 {step}\n"})
    assert [line["step"] for line in kept(tmp_path)] == [5, 10, 15]


def test_without_a_beginning_a_validation_text_begins(tmp_path, text):
    data = text(kind="char", special=False)
    task = task_of(data)
    assert task.model.tokenizer.bos is None
    make_trainer(callbacks=[Sample(tmp_path, tokens=3)], max_epochs=1).fit(task, datamodule=data)
    (sample,) = kept(tmp_path)
    assert sample["prompt"] == next(iter(data.texts("val")))[:8] and sample["text"]


def test_other_models_write_nothing(tmp_path, text):
    data = text()
    assert writes(task_of(data).model)
    without = task_of(data).model
    without.tokenizer = None
    sizes = {**GPT, "vocab_size": 300}
    for model in (
        without,
        zoo.build({**sizes, "num_classes": 2}),
        zoo.build({**sizes, "_target_": "zoo.models.language.bert.BERT"}),
    ):
        assert not writes(model)
    with pytest.raises(ZooError, match="tokens=0"):
        Sample(tmp_path, tokens=0)


def test_a_sample_that_fails_costs_the_run_nothing(tmp_path, text, caplog, monkeypatch):
    monkeypatch.setattr("zoo.generation.text", lambda *_, **__: 1 / 0)
    data = text()
    make_trainer(callbacks=[Sample(tmp_path)], max_epochs=1).fit(task_of(data), datamodule=data)
    assert "no sample could be drawn" in caplog.text and not (tmp_path / "samples.jsonl").exists()


def test_the_attention_of_a_test_text_is_drawn(tmp_path, text):
    data = text()
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,1,2.5,2.0\n")
    make_trainer(callbacks=[Figures(tmp_path)]).test(task_of(data), datamodule=data, verbose=False)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"learning_curves.png", "token_attention.png"}


def test_of_packed_documents_the_first_is_drawn_alone(tmp_path, monkeypatch):
    """They do not see each other in training, so not in the figure."""
    from datamodules.text import Chat

    lines = [json.dumps({"prompt": f"{i}?", "answer": "yes"}) for i in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    data = Chat(path=str(tmp_path / "a.jsonl"), context=32, batch_size=4, cache=str(tmp_path / "cache"),
                split=[0.6, 0.2, 0.2], tokenizer={"kind": "byte"})  # fmt: skip
    data.setup()
    row = data.test_rows(1)
    assert int((row.documents[0] >= 0).sum()) > int((row.documents[0] == 0).sum()) > 0
    drawn = []
    monkeypatch.setattr("zoo.inspect.tokens.plot_tokens", lambda maps, tokens, png: drawn.append(tokens))
    task = task_of(data, context=32)
    Figures(str(tmp_path / "figures")).token_attention(
        type("Trainer", (), {"datamodule": data}), task, tmp_path / "a.png"
    )
    ends = [i for i, token in enumerate(drawn[0]) if token == "<|endoftext|>"]
    assert drawn[0] == [data.spec.tokenizer.token(id) for id in row.ids[0][row.documents[0] == 0].tolist()]
    assert len(ends) <= 2 and ends[0] == 0, "one beginning"


def test_on_a_terminal_a_sample_has_no_empty_lines(tmp_path, text, caplog, monkeypatch):
    monkeypatch.setattr(Sample, "_text", lambda self, model, prompt: "a\n\n \n\nb\n\n\n")
    caplog.set_level(logging.INFO, "zoo.callbacks.sample")
    data = text()
    make_trainer(callbacks=[Sample(str(tmp_path))], max_epochs=1).fit(task_of(data), datamodule=data)
    assert "sample: a\nb" in [record.getMessage() for record in caplog.records]
    assert json.loads((tmp_path / "samples.jsonl").read_text().splitlines()[0])["text"] == "a\n\n \n\nb\n\n\n"
