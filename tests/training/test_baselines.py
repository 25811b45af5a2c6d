"""baselines.csv of a forecasting run: the naive forecasts on the windows that the model was tested on."""

import csv

import pytest

from tests.datamodules.series.tables import Frame, hourly
from tests.tasks.series import Straight
from tests.tasks.tiny import ADAMW, make_trainer
from zoo.models.fit import label
from zoo.series.baselines import baselines
from zoo.tasks.forecasting import Forecasting
from zoo.tasks.masked_patches import MaskedPatches
from zoo.training.baselines import baselines_table, beside_forecasts, write_baselines
from zoo.training.summary import by_metric


@pytest.fixture(scope="module")
def run():
    data = Frame.of(hourly(400), lookback=30, horizon=4)
    task = Forecasting(Straight(2, 30, 4), ADAMW)
    label(task.model, data.spec)
    trainer = make_trainer(1)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    return task, {name: float(value) for name, value in trainer.callback_metrics.items()}, data


def test_a_row_each_and_the_models(run, tmp_path):
    task, metrics, data = run
    rows = beside_forecasts(task, metrics, data)
    assert list(rows) == ["repeat_last", "seasonal_naive", "linear", "model"]
    assert rows["model"] == {name: metrics[f"test/{name}"] for name in ("mse", "mae", "mase")}
    assert rows["linear"]["mse"] < rows["seasonal_naive"]["mse"], "of noise the mean is best"
    write_baselines(tmp_path, rows)
    with open(tmp_path / "baselines.csv") as file:
        read = list(csv.DictReader(file))
    assert [row["forecast"] for row in read] == list(rows)
    assert float(read[0]["mase"]) == pytest.approx(rows["repeat_last"]["mase"], rel=1e-5)
    assert by_metric(rows)["test/mse"] == {name: rows[name]["mse"] for name in list(rows)[:3]}


def test_where_a_baseline_wins_it_shows(run):
    rows = {**beside_forecasts(*run), "model": {"mse": 1e3, "mae": 0.0, "mase": 0.0}}
    said = list(baselines_table(rows).columns[-1].cells)
    assert said == ["less than the model's mse"] * 3 + [""]


def test_windows_that_are_left_out_are_told(run):
    rows = beside_forecasts(*run)
    assert baselines_table(rows).title == "test windows, on the scale of the training rows"
    assert baselines_table(rows, 24).title.startswith("each 24th test window (data.eval_stride)")


def test_they_are_made_once(run):
    data = run[-1]
    assert baselines(data)["linear"] is baselines(data)["linear"]


def test_runs_without_a_tested_forecast_have_none(run):
    task, metrics, data = run
    assert beside_forecasts(task, {"val/mse": 1.0}, data) == {} == beside_forecasts(MaskedPatches, metrics, data)
