"""The figures of a forecaster's run are drawn from its test windows, and say what was measured."""

import logging

import pytest
import torch
from torch.utils.data import DataLoader

from tests.datamodules.series.tables import Frame, hourly
from tests.tasks.series import Straight
from tests.tasks.tiny import ADAMW, make_trainer
from zoo.callbacks.figures import Figures
from zoo.callbacks.series import SeriesFigures, calibration_of
from zoo.models.fit import label
from zoo.models.series.heads import LEVELS, Normal, Quantile
from zoo.tasks.forecasting import Forecasting


@pytest.fixture
def data():
    return Frame.of(hourly(160), lookback=12, horizon=4, split=[0.6, 0.2, 0.2])


def task_of(data, head=None):
    torch.manual_seed(0)
    model = Straight(2, 12, 4, head)
    label(model, data.spec)
    return Forecasting(model, ADAMW)


def names(folder):
    return {path.name for path in (folder / "figures").glob("*.png")}


def test_all_are_drawn_after_a_test(tmp_path, data, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    task = task_of(data, Quantile())
    make_trainer(callbacks=[Figures(tmp_path)]).test(task, datamodule=data, verbose=False)
    assert names(tmp_path) == {"forecasts.png", "error_by_step.png", "calibration.png"}
    assert "attention_maps.png is left out: Straight has no attention to draw" in caplog.text
    assert "could not be drawn" not in caplog.text


def test_without_probabilities_there_is_no_calibration(tmp_path, data, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    make_trainer(callbacks=[Figures(tmp_path)]).test(task_of(data), datamodule=data, verbose=False)
    assert names(tmp_path) == {"forecasts.png", "error_by_step.png"}
    assert "calibration.png is left out: head=Point gives no probabilities" in caplog.text


def test_a_loader_alone_will_do(tmp_path, data, caplog):
    """`Trainer.test(task, dataloaders=...)`: there are no training rows to fit baselines on."""
    loader = DataLoader(data.dataset("test"), batch_size=5)
    make_trainer(callbacks=[Figures(tmp_path)]).test(task_of(data), dataloaders=loader, verbose=False)
    assert names(tmp_path) == {"forecasts.png", "error_by_step.png"} and "could not be drawn" not in caplog.text


def test_errors_by_step_average_to_the_figure_of_the_test(data):
    task, figures = task_of(data), SeriesFigures()
    trainer = make_trainer()
    (found,) = trainer.test(task, datamodule=data, verbose=False)
    errors = figures.errors(trainer, task)
    assert list(errors) == ["repeat_last", "linear", "model"]  # a season of 24 does not fit in 12 rows
    assert float(errors["model"].mse()) == pytest.approx(found["test/mse"], rel=1e-6)
    assert float(errors["model"].mse(1).mean()) == pytest.approx(found["test/mse"], rel=1e-6)
    assert figures.errors(trainer, task) is errors  # measured once


class Sure(Straight):
    """Forecasts a standard normal distribution."""

    def forward(self, past_values, *_, **__):
        raw = torch.zeros(len(past_values), self.horizon, self.channels, 2)
        return self.head(raw)


def test_calibration_of_what_is_known(monkeypatch):
    """Of values drawn from the distribution that is forecast as many lie below each quantile as it says."""
    data = Frame.of(hourly(4000, seed=3), lookback=12, horizon=4, split=[0.2, 0.0, 0.8])
    below, inside, count = calibration_of(Sure(2, 12, 4, Normal()), data.dataset("test"))
    assert float((below - torch.tensor(LEVELS)).abs().max()) < 0.03
    assert inside.shape == (4,) and float((inside - 0.8).abs().max()) < 0.03
    assert int(count.sum()) == 4 * 2 * data.test_size


def test_drawing_leaves_the_model_as_it_was(tmp_path, data):
    task = task_of(data, Quantile())
    batch = next(iter(DataLoader(data.dataset("test"), batch_size=3)))
    before = task.eval().model(*task.model.inputs(batch)).mean
    make_trainer(callbacks=[Figures(tmp_path)]).test(task, datamodule=data, verbose=False)
    assert torch.equal(before, task.eval().model(*task.model.inputs(batch)).mean)
