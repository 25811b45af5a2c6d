"""A table through a whole training: gaps, a constant channel, several series; finite, and forecast by the saved model."""

import numpy as np
import pandas as pd
import pytest
import torch

import zoo
from tests.datamodules.series.tables import hourly
from tests.training.compose import compose
from zoo.series import read_csv
from zoo.training.run import train

QUIET = ("trainer.max_epochs=2", "+trainer.enable_progress_bar=false", "callbacks=none", "~logger")


@pytest.fixture
def table(tmp_path):
    """Two series with a wave of a day, a constant channel, missing rows and cells."""
    frames = []
    for number, name in enumerate("pq"):
        frame = hourly(260, channels=2, seed=number).rename(columns={"b": "u"})
        wave = np.sin(np.arange(260) / 24 * 2 * np.pi)
        frame = frame.assign(a=frame["a"] + 5 * wave, still=4.2, station=name)
        frame.loc[[40, 41, 200], "a"] = np.nan
        frames.append(frame.drop(index=[90, 91, 92]))
    path = tmp_path / "my.csv"
    pd.concat(frames).to_csv(path, index=False)
    return path


SETTINGS = ("data=csv", "data.time=time", "data.id=station", "data.lookback=48", "data.horizon=12", "data.gaps=mask")


@pytest.mark.parametrize(
    "settings", [("model=dlinear", "data.targets=[a,still]"), ("model=nlinear", "data.targets=[a,still,u]")], ids=str
)
def test_a_constant_channel_and_gaps_train_and_stay_finite(table, tmp_path, settings):
    """E8."""
    record = train(compose(*SETTINGS, f"data.path={table}", *settings, *QUIET), None)
    assert np.isfinite(list(record.metrics.values())).all() and record.metrics["test/samples"] == 2 * 41
    assert "left out of MASE: still" in record.data.describe()
    zoo.save(record.task.model, tmp_path / "model")
    model = zoo.load(tmp_path / "model")
    assert model.preprocess == record.data.spec.preprocess
    encoded = model.preprocess.encode(read_csv(table, model.preprocess.roles))
    with torch.no_grad():
        made = model.preprocess.decode(model(*model.inputs(encoded.inputs)).mean)
    assert encoded.ids == ("p", "q") and made.shape == (2, 12, len(model.preprocess.targets))
    assert made.isfinite().all() and (made[..., 1] - 4.2).abs().max() < 1
