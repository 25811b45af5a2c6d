"""A model folder is enough: every verb says the same of it as of the run that it was in, from wherever it lies."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from zoo import conf
from zoo.config import plain

OLD = Path(__file__).resolve().parents[1] / "old"
DATA = OLD / "data"
TEXT = ["data=textfile", f"data.path={DATA / 'text.txt'}", "data.context=16"]
SERIES = ["data=csv", f"data.path={DATA / 'table.csv'}", "data.time=date", "data.lookback=24", "data.horizon=6"]
GRAPH = ["data=npz", f"data.path={DATA / 'graph.npz'}", "data.row_normalise=true"]
IMAGE = ["data=digits"]
LABELLED = ["data=textcsv", f"data.path={DATA / 'labelled.csv'}", "data.context=12"]
FORECAST = [["predict", "table.csv", "--to", "said.csv"], ["backtest", "--data", "table.csv", "--every", "7"]]
WRITTEN = [["predict", "texts.txt", "--to", "said.jsonl"], ["generate", "the sun", "--temperature", "0"]]
OF_GRAPH = [["predict", "graph.npz", "--to", "said.csv"]]
PICTURED = [["predict", "image.png", "--to", "said.csv"], ["predict", "test:3", "--out", "said.png"]]
#: family -> (words of its training, what is asked of it); the first of each kind by default, all under -m slow
FAMILIES = {
    "cnn": (["model=cnn", *IMAGE], PICTURED),
    "gpt": (["model=gpt", *TEXT], WRITTEN),
    "patchtst": (["model=patchtst", *SERIES], FORECAST),
    "gatv2": (["model=gatv2", *GRAPH], OF_GRAPH),
    "vit": (["model=vit", *IMAGE], PICTURED),
    "llama": (["model=llama", *TEXT], WRITTEN),
    "lora": (["model=gpt", *TEXT], WRITTEN),
    "bert": (["model=bert", *LABELLED], WRITTEN[:1]),
    "informer": (["model=informer", *SERIES], FORECAST),
    "itransformer": (["model=itransformer", *SERIES], FORECAST),
    "dlinear": (["model=dlinear", *SERIES], FORECAST),
    "nlinear": (["model=nlinear", *SERIES], FORECAST),
    "graph_transformer": (["model=graph_transformer", *GRAPH], OF_GRAPH),
}
FIRST = ("cnn", "gpt", "patchtst", "gatv2")


def finished(folder, name):
    """The folder of a run that only takes over the weights of tests/old, as train.py leaves it."""
    from zoo.training.folders import register
    from zoo.training.run import train
    from zoo.training.summary import finish

    register()
    folder.mkdir(parents=True)
    words = [*FAMILIES[name][0], f"init={OLD / name}", "train=false", "callbacks=none", "~logger", "threads=1"]
    config = conf.compose_train([*words, f"paths.run={conf.quoted(folder)}", "+trainer.enable_progress_bar=false"])
    finish(train(plain(config), folder), folder, words, {})
    return folder


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Files that verbs are asked about, in a folder of their own."""
    from PIL import Image

    for file in ("table.csv", "graph.npz"):
        (tmp_path / "asked").mkdir(exist_ok=True)
        shutil.copy(DATA / file, tmp_path / "asked" / file)
    arrays = dict(np.load(DATA / "graph.npz"))
    np.savez(tmp_path / "asked" / "graph.npz", **{**arrays, "x": arrays["x"] * 3})
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "asked" / "image.png")
    (tmp_path / "asked" / "texts.txt").write_text("the sun\nthe wind turns\n")
    monkeypatch.chdir(tmp_path / "asked")
    return tmp_path / "asked"


def answers(zoo, place, folder, asked):
    """What each verb printed, but for paths, and the tables that it wrote, by their names; these are taken away."""
    found = {}
    before = set(folder.rglob("*"))
    for verb, *words in asked:
        code, out, err = zoo(verb, place, *words)
        assert code == 0, err
        found[verb, *words] = [line for line in out.splitlines() if str(folder) not in line and str(place) not in line]
    for path in set(folder.rglob("*")) - before | set(Path(place).glob("backtest/*")):
        if path.suffix in (".csv", ".jsonl"):
            found[path.name] = path.read_text()
            path.unlink()
    assert len(found) > len(asked)
    return found


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in FIRST)) for n in FAMILIES])
def test_a_model_folder_says_the_same_as_its_run(name, zoo, asked, tmp_path):
    run, verbs = finished(tmp_path / "runs" / name, name), FAMILIES[name][1]
    of_run = answers(zoo, run, asked, verbs)
    alone = tmp_path / "another machine" / name
    alone.parent.mkdir()
    shutil.move(run / "model", alone)
    shutil.rmtree(run)
    assert answers(zoo, alone, asked, verbs) == of_run
