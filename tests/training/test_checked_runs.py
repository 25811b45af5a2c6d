"""A run of each kind says in its card what `check` measures again."""

import pytest

from tests.training.compose import compose
from tests.training.conftest import TINY
from zoo.catalog import card as cards
from zoo.training import checking
from zoo.training.run import train
from zoo.training.summary import finish

SMALL = ("model.depth=1", "model.dim=16")
TEXT = (*SMALL, "data.context=64")
WEATHER = ("data=nyc_weather", "data.lookback=48", "data.horizon=12")
RUNS = {
    "image": ("model=vit", "data=digits", *SMALL),
    "adapter": ("model=vit", "data=digits", *SMALL, "finetune=lora"),
    "nodes": ("model=gat", "data=digits_knn"),
    "positions": ("model=graph_transformer", "data=digits_knn", "position=random_walk"),
    "sampled": ("model=gat", "data=digits_knn", "loader=neighbor"),
    "graphs": ("model=gat", "data=digits_graphs"),
    "text": ("model=gpt", "data=python_docs", *TEXT),
    "text without a test part": ("model=gpt", "data=python_docs", *TEXT, "data.split=[.9,.1,0]"),
    "masked text": ("model=bert", "data=python_docs", *TEXT),
    "labelled text": ("model=bert", "data=glosses", "task=text_classification", *TEXT),
    "series": ("model=informer", *WEATHER, *SMALL[1:]),
    "conformal": ("model=patchtst", *WEATHER, *SMALL, "task.conformal=true"),
    "pairs": ("model=luong", "data=reverse", "model.dim=16"),
    "captions": ("model=captioner", "data=digit_scenes", "data.sizes=[128,64,64]", *SMALL),
    "patches": ("model=patchtst", *WEATHER, *SMALL, "task=masked_patches"),
}  # fmt: skip
SHARED = {"relations": ("model=rgat", "data=aifb"), "types": ("model=han", "data=acm")}


def checked(words, folder):
    quiet = ("callbacks=none", "~logger", *TINY[:3])
    record = train(compose(*words, *quiet, run=folder), folder)
    finish(record, folder, list(words), {"task": "some"})
    rows = list(checking.check(folder))
    assert len(rows) == 5 and {row.verdict for row in rows} == {checking.EQUAL}, rows
    known = cards.read(folder / "model")
    assert known["probe"] and known["data"]["part"]["sha256"] and known["data"]["source"]
    assert rows[-1].difference == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_is_as_its_card_says(kind, tmp_path):
    checked(RUNS[kind], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARED)
def test_a_run_on_real_graphs_is_as_its_card_says(kind, tmp_path, shared_data, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(shared_data))  # where data lie is the reader's to say, not the card's
    checked((*SHARED[kind], "model.head_dim=4"), tmp_path / "run")
