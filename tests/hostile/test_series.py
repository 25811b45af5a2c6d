"""What a forecaster's config.json says of its data: whatever stands there, a sentence names file and field."""

import copy
import json
from dataclasses import asdict

import pytest
import torch

import zoo
from tests.datamodules.series.tables import Frame, hourly
from tests.hostile.files import change_config
from zoo.errors import ZooError
from zoo.series import SeriesPreprocess

CONFIG = {"_target_": "zoo.models.series.linear.DLinear", "channels": 2, "lookback": 12, "horizon": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(a folder of a forecaster, its preprocessing)"""
    frame = hourly(80, channels=4).assign(kind="x", size=3)
    data = Frame.of(
        frame, lookback=12, horizon=4, targets=["a", "b"], past=["c"], future=["d"], static=["kind", "size"]
    )
    torch.manual_seed(0)
    model = zoo.build(CONFIG)
    model.preprocess, model.targets = data.spec.preprocess, "values"
    folder = tmp_path_factory.mktemp("series")
    zoo.save(model, folder / "model")
    (folder / "model" / "card.json").unlink()
    return folder, data.spec.preprocess


@pytest.fixture
def run(made, tmp_path):
    (tmp_path / "model").mkdir()
    for file in (made[0] / "model").iterdir():
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_it_is_saved_and_read_back(made, run):
    again = zoo.load(run)
    assert again.preprocess == made[1] and again.targets == "values"
    assert again.preprocess.categories == {"kind": ("x",)} and again.preprocess.static_mean == (3.0,)


def fields(**other):
    return lambda good: good | other


BROKEN = {
    "kind": [fields(kind="images"), fields(kind=1), fields(kind=None)],
    "targets": [
        fields(targets=[]), fields(targets="ab"), fields(targets=[1, 2]), fields(targets=None),
        fields(targets=["a", "b\x1b[2J"]), fields(targets=["a" * 2000, "b"]),
    ],
    "channels": [fields(targets=["a"], past=["b", "c"], mase_scale=[1.0])],
    "past": [fields(past="c"), fields(past=[["c"]])],
    "future": [fields(future={"d": 1})],
    "static": [fields(static=[None, None])],
    "time": [fields(time=["time"]), fields(time=3), fields(time="\x07")],
    "id": [fields(id=3)],
    "freq": [fields(freq="fortnight"), fields(freq=3), fields(freq="9" * 30 + "h")],
    "season": [fields(season=0), fields(season=True), fields(season=1.5), fields(season=10**12)],
    "lookback": [fields(lookback=0), fields(lookback="12"), fields(lookback=10**12), fields(lookback=13)],
    "horizon": [fields(horizon=-1), fields(horizon=None), fields(horizon=5)],
    "mean": [fields(mean=0.1), fields(mean=["x"] * 4), fields(mean=[True] * 4), fields(mean=[10**25, 10**400, 0, 0])],
    "std": [fields(std=[0.0, 1, 1, 1]), fields(std=[-1, 1, 1, 1]), fields(std=[[1]] * 4), fields(std=[1])],
    "categories": [
        fields(categories=[]), fields(categories={"other": ["x"]}), fields(categories={"kind": []}),
        fields(categories={"kind": [1]}), fields(categories={"kind": "x"}), fields(categories={"kind": ["x\n"]}),
    ],
    "static_mean": [fields(static_mean=[]), fields(static_mean=["3"])],
    "static_std": [fields(static_std=[0]), fields(static_std=None)],
    "mase_scale": [fields(mase_scale=[1.0]), fields(mase_scale=[0, 1]), fields(mase_scale="ab")],
    "gaps": [fields(gaps="fill"), fields(gaps=["mask"])],
    "colour": [fields(colour="red")],
    "two roles": [fields(past=["a"], mean=[0.1] * 4)],
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_a_sentence(run, name):
    good = json.loads((run / "model" / "config.json").read_text())["preprocess"]
    for change in BROKEN[name]:
        change_config(run, preprocess=change(copy.deepcopy(good)))
        with pytest.raises(ZooError) as error:
            zoo.load(run)
        said = str(error.value)
        assert "\n" not in said and "\x1b" not in said and len(said) < 2000
        assert (name in said or name == "two roles") and "config.json" in said, said


def test_missing_fields_are_told(run):
    good = json.loads((run / "model" / "config.json").read_text())["preprocess"]
    for name in ("targets", "lookback", "horizon", "mean", "std"):
        change_config(run, preprocess={key: value for key, value in good.items() if key != name})
        with pytest.raises(ZooError, match=f"preprocess.{name} is missing"):
            zoo.load(run)


def test_plain_both_ways(made):
    plain = json.loads(json.dumps(asdict(made[1])))
    assert SeriesPreprocess.from_plain(plain, "here") == made[1]
