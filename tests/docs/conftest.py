"""A folder in which the pages' snippets and commands may run: with runs, an image and folders of their names."""

import shutil

import pytest
from PIL import Image

import zoo
from tests.docs.pages import ROOT
from zoo.text import train_tokenizer


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "old" / "vit", tmp_path / "runs" / "my-run")
    Image.new("L", (8, 8)).save(tmp_path / "digit.png")
    save_gpt(tmp_path / "runs" / "my-gpt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_gpt(folder):
    """A small GPT that nobody trained, with a tokenizer of bytes."""
    tokenizer = train_tokenizer("byte", [""])
    model = zoo.create_model("gpt_mini", vocab_size=tokenizer.vocab_size, dim=16, depth=1, num_heads=2)
    model.tokenizer = tokenizer
    zoo.save(model, folder)
