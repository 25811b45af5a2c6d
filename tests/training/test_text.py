"""The way of a text: pretraining, then a classifier of it; one run of each, in this process."""

import pytest
import torch
from lightning.pytorch import Callback

import zoo
from datamodules.text import TextBatch
from tests.training.compose import compose
from zoo.training.run import train
from zoo.training.summary import beside

QUIET = ("callbacks=none", "~logger", "+trainer.enable_progress_bar=false", "trainer.accelerator=cpu")
SMALL = ("model.dim=32", "model.depth=1", "model.num_heads=2")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sentences about two kinds of animals."""
    path = tmp_path_factory.mktemp("text") / "pets.csv"
    things = ("sofa", "tree", "garden", "street", "river", "old house", "bed", "door")
    rows = [
        f"the {pet} sat by the {thing} and {does}"
        for thing in things
        for pet, does in (("cat", "purred"), ("dog", "barked"))
    ]
    lines = [f"{row},{'feline' if 'cat' in row else 'canine'}" for row in rows * 4]
    path.write_text("text,label\n" + "\n".join(f"{i} {line}" for i, line in enumerate(lines)) + "\n")
    return path


def run(table, folder, *words):
    data = ["data=textcsv", f"data.path={table}", "data.context=24", "data.batch_size=8", f"paths.cache={folder}"]
    record = train(compose(*data, *SMALL, *QUIET, *words, run=folder / "run"), folder / "run")
    zoo.save(record.task.model, folder / "model")
    return record


@pytest.mark.parametrize("name", ["bert", "gpt", "llama"])
def test_pretraining_then_a_classifier(name, table, tmp_path):
    first = run(table, tmp_path / "a", f"model={name}", "task=language_modelling", "trainer.max_epochs=1")
    assert {"test/tokens", "test/loss", "test/accuracy"} <= first.metrics.keys()
    assert ("test/bits_per_byte" in first.metrics) is ("test/perplexity" in first.metrics) is (name != "bert")
    start = f"init={tmp_path / 'a' / 'model'}"
    words = [f"model={name}", "task=text_classification", start, "tokenizer=byte", "trainer.max_epochs=4"]
    second = run(table, tmp_path / "b", *words, "task.optimizer.lr=3e-3")
    assert second.task.model.tokenizer == first.task.model.tokenizer, "the source's, whatever the command line says"
    assert second.metrics["test/accuracy"] > 0.9 and second.monitored > 0.9
    again = zoo.load(tmp_path / "b" / "model")
    assert again.classes == ("canine", "feline") and again.targets == "class"
    ids = torch.tensor([again.tokenizer.document("the cat sat by the door and purred")])
    assert again.classes[again(ids).argmax()] == "feline"


def test_bits_per_byte_are_of_the_whole_text(table, tmp_path):
    """Nats of all tokens over the bytes they stand for, whatever the rows; and report it at the epoch's end alone."""
    found = run(
        table, tmp_path / "a", "model=gpt", "task=language_modelling", "data.pack=stream", "trainer.max_epochs=1"
    )
    model, nats, size, tokens = found.task.model.eval(), 0.0, 0, 0
    for batch in found.data.test_dataloader():
        assert isinstance(batch, TextBatch)
        logits = model(batch.ids, batch.mask)
        asked = batch.targets >= 0
        nats += torch.nn.functional.cross_entropy(logits[asked], batch.targets[asked], reduction="sum").item()
        size, tokens = size + int(batch.num_bytes.sum()), tokens + int(asked.sum())
    bits = nats / torch.log(torch.tensor(2.0)).item() / size
    assert found.metrics["test/bits_per_byte"] == pytest.approx(bits, rel=1e-5)
    assert found.metrics["test/tokens"] == tokens
    assert found.metrics["test/perplexity"] == pytest.approx(torch.tensor(nats / tokens).exp().item(), rel=1e-4)


class Stop(Callback):
    """Save and stop within the second epoch."""

    def __init__(self, file):
        self.file = file

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 8:
            trainer.save_checkpoint(self.file)
            raise KeyError


def test_a11_a_resumed_text_is_the_uninterrupted_one(table, tmp_path):
    """With what masked tokens draw, and dropout."""
    words = ["model=bert", "task=language_modelling", "trainer.max_epochs=2", "test=false", *QUIET, *SMALL]
    words += ["data=textcsv", f"data.path={table}", "data.context=24", "data.batch_size=8", f"paths.cache={tmp_path}"]
    whole = train(compose(*words, run=tmp_path / "a"), None)
    file = tmp_path / "a.ckpt"
    with pytest.raises(KeyError):
        train(compose(*words, run=tmp_path / "b"), None, watch=[Stop(file)])
    resumed = train(compose(*words, f"ckpt_path={file}", run=tmp_path / "b"), None)
    expected = whole.task.model.state_dict()
    assert whole.trainer.global_step == resumed.trainer.global_step == 12
    assert all(torch.equal(value, expected[name]) for name, value in resumed.task.model.state_dict().items())
    assert whole.metrics["train/loss"] == resumed.metrics["train/loss"]


@pytest.mark.parametrize("name, compared", [("talks.jsonl", False), ("a.txt", True)])
def test_no_compressor_beside_answers(name, compared, tmp_path):
    """A model of conversations says the answers alone: their bits are not those of the whole text."""
    lines = [f'{{"prompt": "{i} plus one", "answer": "{i + 1}"}}' for i in range(80)]
    (tmp_path / name).write_text("\n".join(lines))
    data = "chat" if name.endswith("jsonl") else "textfile"
    words = [f"data={data}", f"data.path={tmp_path / name}", "data.context=32", "tokenizer=byte", "model=gpt"]
    words += [*SMALL, *QUIET, "trainer.max_epochs=1", "+trainer.limit_train_batches=1", f"paths.cache={tmp_path}"]
    record = train(compose(*words, run=tmp_path / "run"), tmp_path / "run")
    assert "test/bits_per_byte" in record.metrics and bool(beside(record)) is compared
