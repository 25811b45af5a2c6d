"""Masked patches: what is hidden, what is learned of it, and forecasting from there on other data."""

import pytest
import torch
from torch.utils.data import DataLoader

import zoo
from tests.datamodules.series.tables import Frame, hourly
from tests.tasks.series import Straight
from tests.tasks.tiny import ADAMW, make_trainer, weights
from zoo.errors import ZooError
from zoo.models.fit import label
from zoo.models.series.conformal import Conformal
from zoo.models.series.heads import Quantile
from zoo.pretrained import initialise
from zoo.tasks.fit import fit
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.masked_patches import MaskedPatches, fingerprints

MODEL = {
    "_target_": "zoo.models.series.patchtst.PatchTST", "channels": None, "lookback": None, "horizon": None, "patch": 8,
    "stride": 4, "dim": 8, "depth": 1, "num_heads": 2, "hidden": 16, "head": {"_target_": "zoo.models.series.heads.Point"},
}  # fmt: skip
PRETRAIN = {"_target_": "zoo.tasks.masked_patches.MaskedPatches", "ratio": 0.4}
FORECAST = {"_target_": "zoo.tasks.forecasting.Forecasting"}


def series(rows=300, lookback=32, horizon=4, channels=2, **more):
    return Frame.of(hourly(rows, channels), lookback=lookback, horizon=horizon, **more)


def config(data, task=PRETRAIN, **changes):
    return fit({"model": {**MODEL, **changes}, "task": task}, data.spec)["model"]


def make(data, **changes):
    torch.manual_seed(0)
    return MaskedPatches(zoo.build(config(data, **changes)), ADAMW)


def test_the_task_sets_the_patches():
    found = config(series())
    assert (found["stride"], found["end_padding"], found["masking"]["ratio"]) == (8, False, 0.4)
    assert config(series(), {**PRETRAIN, "ratio": 0.25})["masking"]["ratio"] == 0.25
    assert "masking" not in config(series(), FORECAST)


def test_the_loss_is_that_of_hidden_observed_cells():
    frame = hourly(300)
    frame.loc[::9, "a"] = float("nan")
    data = Frame.of(frame, lookback=32, horizon=4, gaps="mask")
    task = make(data).eval()
    batch = next(iter(DataLoader(data.dataset("test"), 8)))
    hidden = task.hidden(batch["past_values"])
    assert hidden.shape == (8, 2, 4) and (hidden.sum(-1) == 2).all(), "floor(.6 x 4) = 2 are seen"
    step = task.step(batch, "test")
    found = task.model.reconstruct(batch["past_values"], batch["past_observed_mask"], hidden)
    asked = hidden.unsqueeze(-1) & batch["past_observed_mask"].transpose(1, 2).unflatten(-1, (4, 8))
    torch.testing.assert_close(step.loss, (found.out - found.patches)[asked].square().mean())
    assert step.count == int(asked.sum()) and step.samples == 8


def test_bug_21_draws_are_of_the_window_and_figures_of_no_batch():
    data, found = series(), []
    task = make(data)
    for size in (1, 7, 512):
        torch.manual_seed(size)
        found += make_trainer().test(task, dataloaders=DataLoader(data.dataset("test"), size), verbose=False)
    assert found[1] == pytest.approx(found[0], rel=1e-6) and found[2] == pytest.approx(found[0], rel=1e-6)
    assert found[0]["test/samples"] == len(data.dataset("test"))
    past = next(iter(DataLoader(data.dataset("test"), 8)))["past_values"]
    assert len(fingerprints(past).unique()) == 8 and torch.equal(fingerprints(past)[3:4], fingerprints(past[3:4]))


def test_training_draws_anew_and_learns():
    t = torch.arange(600)
    frame = hourly(600)
    frame["a"], frame["b"] = (
        (t * torch.pi / 4).sin().numpy(),
        (t * torch.pi / 2).cos().numpy(),
    )  # as the patches that are seen
    data = Frame.of(frame, lookback=64, horizon=4, batch_size=8)
    task = make(data, dim=16)
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    first = task.step(batch, "train").loss
    assert task.step(batch, "train").loss != first
    (before,) = make_trainer().test(task, datamodule=data, verbose=False)
    make_trainer(4).fit(task, datamodule=data)
    (after,) = make_trainer().test(task, datamodule=data, verbose=False)
    assert after["test/loss"] < 0.6 * before["test/loss"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    data = series()
    task = make(data)
    label(task.model, data.spec)
    make_trainer(1).fit(task, datamodule=data)
    zoo.save(task.model, tmp_path_factory.mktemp("run") / "model")
    return task.model.eval(), str(next(tmp_path_factory.getbasetemp().glob("run*/model")))


@pytest.mark.parametrize(
    "sizes", [{}, {"channels": 3}, {"horizon": 9}, {"lookback": 48, "channels": 1}, {"lookback": 16}]
)
def test_it_goes_on_as_a_forecaster_of_other_data(pretrained, sizes):
    source, folder = pretrained
    data = series(**sizes)
    model, changes = initialise(config(data, FORECAST), folder, {**data.spec.sizes(), "num_classes": None})
    told = {change.name: change.how for change in changes}
    expected = {"proj.weight": "new", "proj.bias": "new"}
    expected |= {f"patch_head.{name}": "left out, this model has another head" for name in ("weight", "bias")}
    if "lookback" in sizes:
        expected["position.table"] = f"positions resampled from 4 in a row to {sizes['lookback'] // 8}"
    assert told == expected
    own, theirs = weights(model), weights(source)
    assert all(torch.equal(own[name], theirs[name]) for name in own if name in theirs and name not in told)
    assert (model.patch_embed.stride, model.masking) == (8, None)
    task = Forecasting(model, ADAMW, finetune="linear_probe")
    before = weights(model)
    make_trainer(1).fit(task, datamodule=data)
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed == {"proj.weight", "proj.bias"}
    (tested,) = make_trainer().test(task, datamodule=data, verbose=False)
    assert tested["test/samples"] == len(data.dataset("test"))


def test_a_forecaster_goes_on_at_another_horizon_with_its_head(tmp_path):
    data = series()
    model = zoo.build({**config(data, FORECAST), "head": {"_target_": "zoo.models.series.heads.Quantile"}})
    task = Forecasting(model, ADAMW, conformal=True)
    make_trainer(1).fit(task, datamodule=data)
    make_trainer().test(task, datamodule=data, verbose=False)
    zoo.save(model, tmp_path / "model")
    assert zoo.load(tmp_path / "model").head.calibrated
    other = series(horizon=7)
    again, changes = initialise(config(other, FORECAST), str(tmp_path / "model"), other.spec.sizes())
    told = {change.name: change.how for change in changes}
    assert set(told) == {"proj.weight", "proj.bias", "head.offsets", "head.windows"}
    assert told["proj.weight"] == "reset, for data of other sizes"
    assert isinstance(again.head, Quantile) and again.horizon == 7
    same, changes = initialise(config(data, FORECAST), str(tmp_path / "model"), data.spec.sizes())
    assert {change.name for change in changes} == {"head.offsets", "head.windows"}, "of the weights as they were"
    assert not isinstance(same.head, Conformal) and torch.equal(same.proj.weight, model.proj.weight)


def test_what_is_refused():
    data = series()
    with pytest.raises(ZooError, match=r"task=masked_patches is for models of patches; take model=patchtst"):
        MaskedPatches.of_model({"_target_": "zoo.models.series.linear.DLinear"}, {})
    with pytest.raises(ZooError, match="and Straight as it is built hides none"):
        MaskedPatches(Straight(2, 32, 4), ADAMW)
    overlapping = {**config(data), "stride": 4}
    with pytest.raises(ZooError, match="patches of 8 steps, 4 apart, overlap"):
        MaskedPatches(zoo.build(overlapping), ADAMW)
    with pytest.raises(ZooError, match="fills in hidden patches and forecasts nothing"):
        Forecasting(zoo.build(config(data)), ADAMW)
