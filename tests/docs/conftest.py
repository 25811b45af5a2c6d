"""A folder in which the pages' snippets and commands may run: with runs, an image and folders of their names."""

import shutil

import pytest
from PIL import Image

import zoo
from datamodules.series import Csv
from tests.cli.series import table
from tests.docs.pages import ROOT
from zoo.models.fit import label
from zoo.text import train_tokenizer


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everything")
    shutil.copytree(ROOT / "tests" / "old" / "vit", folder / "runs" / "my-run")
    Image.new("L", (8, 8)).save(folder / "digit.png")
    save_gpt(folder / "runs" / "my-gpt")
    save_forecaster(folder)
    save_reader(folder / "runs" / "my-tagger", "tags", ("O", "B-TERM", "I-TERM"))
    save_reader(folder / "runs" / "my-qa", "span", ("start", "end"))
    (folder / "story.txt").write_text("Maria foi para a sala.")
    (folder / "asked.jsonl").write_text('{"question": "Onde?", "context": "Na sala."}\n')
    return folder


@pytest.fixture
def somewhere(everything, tmp_path, monkeypatch):
    """A copy, of a test's own."""
    shutil.copytree(everything, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_forecaster(folder):
    """my.csv, and a model of it that nobody trained."""
    table().to_csv(folder / "my.csv", index=False)
    data = Csv(path=str(folder / "my.csv"), time="time", lookback=24, horizon=6)
    data.setup()
    model = zoo.create_model("patchtst", lookback=24, horizon=6, channels=2, patch=8, stride=4)
    label(model, data.spec)
    zoo.save(model, folder / "runs" / "my-forecaster")


def save_reader(folder, targets, classes):
    """A small BERT that says something of each token, and that nobody trained."""
    tokenizer = train_tokenizer("byte", [""])
    sizes = dict(vocab_size=tokenizer.vocab_size, context=64, dim=8, depth=1, num_heads=2)
    model = zoo.create_model("bert", **sizes, num_classes=len(classes), per_token=True)
    model.tokenizer, model.targets = tokenizer, targets
    model.classes = classes if targets == "tags" else ()
    about = {"data": {"config": {"context": 64, "stride": 16}}, "task_config": {"max_answer_length": 30}}
    zoo.save(model, folder, **about)


def save_gpt(folder):
    """A small GPT that nobody trained, with a tokenizer of bytes."""
    tokenizer = train_tokenizer("byte", [""])
    model = zoo.create_model("gpt_mini", vocab_size=tokenizer.vocab_size, dim=16, depth=1, num_heads=2)
    model.tokenizer = tokenizer
    zoo.save(model, folder)
