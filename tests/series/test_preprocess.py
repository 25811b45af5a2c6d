"""From a table to a forecaster's input: the same numbers as in training, and what follows the last observed row."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.datamodules.series.tables import Frame, hourly
from zoo.errors import ZooError
from zoo.series.reading import from_frame, read_csv

LOOKBACK, HORIZON = 12, 4


def with_all(rows=120, id="x", seed=0):
    """Targets a and b, c known up to now, d beforehand, and two static columns."""
    return hourly(rows, channels=4, seed=seed).assign(id=id, kind=f"kind of {id}", size=float(seed))


def data(frames, **settings):
    roles = dict(targets=["a", "b"], past=["c"], future=["d"], static=["kind", "size"], id="id")
    return Frame.of(pd.concat(frames), lookback=LOOKBACK, horizon=HORIZON, **roles, **settings)


def test_the_input_is_that_of_a_window():
    """A table cut behind a row, the future-known column going on: the window that forecasts what follows that row."""
    frames = [with_all(), with_all(id="y", seed=1)]
    made = data(frames)
    windows, cut = made.windows("test"), 100
    short = [frame.iloc[: cut + HORIZON].copy() for frame in frames]
    for frame in short:
        frame.loc[frame.index[cut:], ["a", "b", "c"]] = np.nan
    found = made.spec.preprocess.encode(from_frame(pd.concat(short), made.spec.preprocess.roles))
    assert found.ids == ("x", "y") and found.rows.tolist() == [cut, cut]
    for series in (0, 1):
        number = windows.origins.tolist().index([series, cut])
        window = windows[number]
        assert found.inputs.keys() == window.keys() - {"future_values", "future_observed_mask"}
        for key, value in found.inputs.items():
            torch.testing.assert_close(value[series], window[key], msg=key)
        assert found.stamps[series].tolist() == [
            windows.stamp(cut + step, series).astype(np.int64) for step in range(HORIZON)
        ]


def test_static_columns():
    made = data([with_all(), with_all(id="y", seed=1), with_all(id="z", seed=5)])
    spec = made.spec
    assert (spec.static_categories, spec.static_reals) == ((3,), 1) and spec.sizes()["static_categories"] == (3,)
    arrays = made.source.arrays
    assert arrays.static_categories.tolist() == [[0], [1], [2]] and arrays.static_categories.dtype == torch.int64
    sizes = np.array([0, 1, 5])
    np.testing.assert_allclose(arrays.static_reals[:, 0], (sizes - sizes.mean()) / sizes.std(), rtol=1e-6)
    encode, roles = spec.preprocess.encode, spec.preprocess.roles
    with pytest.raises(ZooError, match="'kind' has 'kind of w', which was not there in training"):
        encode(from_frame(known(with_all(id="w")), roles))
    with pytest.raises(ZooError, match="'size' has 'big', which is not a number"):
        encode(from_frame(known(with_all()).assign(size="big"), roles))


def test_units():
    made = data([with_all()])
    preprocess, frame = made.spec.preprocess, with_all()
    units = preprocess.decode(made.source.arrays.values)
    np.testing.assert_allclose(units, frame[["a", "b"]], atol=1e-5)
    assert preprocess.decode(torch.zeros(3, 5, 2)).shape == (3, 5, 2)


def known(frame, targets=LOOKBACK + 20, known=LOOKBACK + 20 + HORIZON):
    frame = frame.iloc[:known].copy()
    frame.loc[frame.index[targets:], ["a", "b", "c"]] = np.nan
    return frame


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            known(with_all(), known=LOOKBACK + 21),
            "'d' is known beforehand .* missing at 2020-01-02 09:00.* all 4 steps",
        ),
        (known(with_all()).assign(d=lambda f: f["d"].where(f.index != 33)), "missing at 2020-01-02 09:00"),
        (known(with_all(), targets=LOOKBACK - 1), "needs 12 rows before it .* there are 11"),
        (known(with_all()).drop(columns="b"), r"no column 'b' \(data.targets\)"),
        (known(with_all()).drop(index=5), "1 steps of h are missing"),
        (known(with_all()).assign(c=lambda f: f["c"].where(f.index != 25)), r"line 27 .*column 'c' is empty"),
        (known(with_all().assign(time=pd.date_range("2020-01-01", periods=120, freq="D"))), "steps of h are missing"),
    ],
)
def test_what_cannot_be_forecast(table, says):
    preprocess = data([with_all()]).spec.preprocess
    with pytest.raises(ZooError, match=says) as error:
        preprocess.encode(from_frame(table, preprocess.roles))
    assert "\n" not in str(error.value)


def test_gaps_of_a_masking_model(tmp_path):
    """Empty cells within the lookback are unobserved; rows that stop a step before the others are too."""
    frame = with_all()
    preprocess = data([frame], gaps="mask").spec.preprocess
    holed = known(frame)
    holed.loc[28, "a"] = np.nan
    holed.loc[31, "b"] = np.nan
    holed.drop(index=25).to_csv(tmp_path / "my.csv", index=False)
    found = preprocess.encode(read_csv(tmp_path / "my.csv", preprocess.roles))
    mask = found.inputs["past_observed_mask"][0]
    assert found.rows.tolist() == [32] and mask.sum() == 2 * LOOKBACK - 4
    assert not mask[5].any() and not mask[8, 0] and not mask[11, 1] and mask[11, 0]


def test_without_stamps():
    frame = hourly(120).drop(columns="time")
    made = Frame.of(frame, time=None, lookback=LOOKBACK, horizon=HORIZON)
    assert made.spec.time_features == 0 and made.spec.freq is None and made.season == 1
    window = made.windows("test")[0]
    assert "past_time_features" not in window and made.windows("test").stamp(3) is None
    found = made.spec.preprocess.encode(from_frame(frame, made.spec.preprocess.roles))
    assert found.stamps is None and found.inputs["past_values"].shape == (1, LOOKBACK, 2)
