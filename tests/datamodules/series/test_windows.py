"""Windows of series against brute force: which there are, what they hold, and that none is dropped."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from datamodules.sampling import BatchIndex
from tests.datamodules.series.tables import Frame, hourly


@st.composite
def cases(draw):
    lookback, horizon = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    series = draw(st.integers(1, 3))
    train = draw(st.integers(lookback + horizon, lookback + horizon + 15))
    val, test = draw(st.sampled_from([0, horizon, horizon + 5])), draw(st.integers(horizon, horizon + 9))
    return lookback, horizon, series, [train, val, test], draw(st.integers(1, 4)), draw(st.integers(1, 4))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_windows_are_those_of_brute_force(case):
    """E1: each window of a part once; its future lies in the part, its past where it may."""
    lookback, horizon, count, split, stride, eval_stride = case
    length = sum(split) + 3
    frames = [hourly(length, channels=2, seed=number).assign(id=f"s{number}") for number in range(count)]
    data = Frame.of(
        pd.concat(frames),
        lookback=lookback,
        horizon=horizon,
        id="id",
        split=split,
        stride=stride,
        eval_stride=eval_stride,
    )
    whole = np.concatenate([frame[["a", "b"]].to_numpy() for frame in frames]).reshape(count, length, 2)
    training = whole[:, : split[0]].reshape(-1, 2)
    scaled = (whole - training.mean(0)) / training.std(0)
    cuts = np.cumsum([0, *split])
    for at, (stage, step) in enumerate((("train", stride), ("val", eval_stride), ("test", eval_stride))):
        first, end = max(cuts[at], lookback), cuts[at + 1]
        wanted = [(s, o) for s in range(count) for o in range(first, end - horizon + 1, step)]
        windows = data.windows(stage)
        assert windows.origins.tolist() == [list(each) for each in wanted] and len(windows) == len(wanted)
        if not wanted:
            continue
        batch = windows.__getitems__(BatchIndex(0, list(range(len(windows)))))
        for number, (s, o) in enumerate(wanted):
            past, future = scaled[s, o - lookback : o], scaled[s, o : o + horizon]
            one = windows[number]
            for found in (one, {key: value[number] for key, value in batch.items()}):
                np.testing.assert_allclose(found["past_values"], past, atol=1e-5)
                np.testing.assert_allclose(found["future_values"], future, atol=1e-5)
            assert all(torch.equal(one[key], batch[key][number]) for key in one) and one.keys() == batch.keys()
        rows = {s * length + o + step for s, o in wanted for step in range(horizon)}
        assert data.rows_of(stage).tolist() == sorted(rows)


def test_parts_are_disjoint_and_each_window_is_scored_once():
    data = Frame.of(hourly(500), lookback=24, horizon=12)
    rows = [set(data.rows_of(stage).tolist()) for stage in ("train", "val", "test")]
    assert not rows[0] & rows[1] and not rows[1] & rows[2] and not rows[0] & rows[2]
    for size in (1, 7, 32, 512):
        data.batch_size = size
        for stage, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
            scored = torch.cat([batch["future_values"] for batch in loader])
            every = torch.stack([window["future_values"] for window in data.windows(stage)])
            assert torch.equal(scored, every), "in order, and none left out"


@pytest.mark.parametrize("size", [1, 5, 64])
def test_a_plain_loader_gives_the_same(size):
    data = Frame.of(hourly(300), lookback=24, horizon=12, batch_size=size)
    ours, plain = list(data.test_dataloader()), list(DataLoader(data.windows("test"), batch_size=size))
    assert len(ours) == len(plain)
    for mine, theirs in zip(ours, plain, strict=True):
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_a_window_is_a_view():
    data = Frame.of(hourly(300), lookback=24, horizon=12)
    window, arrays = data.windows("train")[3], data.source.arrays
    for key, whole in (("past_values", arrays.values), ("future_time_features", arrays.time)):
        assert window[key].untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_the_scaler_does_not_move_with_later_rows():
    frame = hourly(400)
    data = Frame.of(frame, lookback=24, horizon=12, split=[200, 100, 100])
    moved = frame.copy()
    moved.loc[200:, ["a", "b"]] += 1000
    other = Frame.of(moved, lookback=24, horizon=12, split=[200, 100, 100])
    assert data.source.preprocess == other.source.preprocess and torch.equal(data.mase_scale, other.mase_scale)
