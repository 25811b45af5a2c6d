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


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "old" / "vit", tmp_path / "runs" / "my-run")
    Image.new("L", (8, 8)).save(tmp_path / "digit.png")
    save_gpt(tmp_path / "runs" / "my-gpt")
    save_forecaster(tmp_path)
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


def save_gpt(folder):
    """A small GPT that nobody trained, with a tokenizer of bytes."""
    tokenizer = train_tokenizer("byte", [""])
    model = zoo.create_model("gpt_mini", vocab_size=tokenizer.vocab_size, dim=16, depth=1, num_heads=2)
    model.tokenizer = tokenizer
    zoo.save(model, folder)
