"""docs/zoo.md says of the package's models what their cards say, and of cards what the code does."""

import zoo
from tests.docs.pages import ROOT
from zoo import conf
from zoo.catalog import page
from zoo.catalog.about import SAID

TEXT = (ROOT / "docs" / "zoo.md").read_text()


def test_the_table_is_that_of_the_cards(monkeypatch):
    """Written by `python -m zoo list pretrained --markdown docs/zoo.md`."""
    monkeypatch.delenv("ZOO_INDEX", raising=False)
    cards = {name: zoo.info(name) for name in zoo.list_pretrained()}
    between = TEXT.partition(page.BEGIN)[2].partition(page.END)[0]
    assert between.strip() == page.text(cards).strip()


def test_every_key_that_can_be_said_stands_there():
    assert ", ".join(SAID) in TEXT.replace(" (another of the recorded ones)", "").replace("\n", " ")


def test_tasks_are_called_as_in_training(monkeypatch):
    """`--task` takes what `task=` takes, and each model of a kind is found by it."""
    monkeypatch.delenv("ZOO_INDEX", raising=False)
    assert {entry.summary["task"] for entry in zoo.catalog.entries()} <= conf.options("task").keys()
    assert zoo.list_pretrained(task="image_classification") == ["vit.digits", "vit.fashion_mnist"]
