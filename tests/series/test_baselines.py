"""Naive forecasts and the ridge regression: by hand, by scikit-learn, with gaps; the published figures of the protocol."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from datamodules.series import ETT
from tests.datamodules.series.tables import Frame, hourly
from tests.tasks.series import autoregression
from zoo.series.baselines import Moments, SeasonalNaive, baselines, batches, features, fit_linear, repeat_last, score


def window(past, observed=None, horizon=3):
    past = torch.tensor(past, dtype=torch.float32).view(1, -1, 1)
    there = (
        torch.ones_like(past, dtype=torch.bool) if observed is None else torch.tensor(observed).bool().view(1, -1, 1)
    )
    return {"past_values": past, "past_observed_mask": there, "future_values": torch.zeros(1, horizon, 1)}


def test_the_last_value_and_the_last_season():
    assert repeat_last(window([1, 2, 3, 4])).flatten().tolist() == [4, 4, 4]
    assert repeat_last(window([1, 2, 3, 0], [1, 1, 1, 0])).flatten().tolist() == [3, 3, 3]
    assert repeat_last(window([0, 0, 0, 0], [0, 0, 0, 0])).flatten().tolist() == [0, 0, 0]
    two = SeasonalNaive(2)
    assert two(window([1, 2, 3, 4, 5])).flatten().tolist() == [4, 5, 4]
    assert two(window([1, 2, 3, 0, 5], [1, 1, 1, 0, 1])).flatten().tolist() == [2, 5, 2], "a season earlier"
    assert two(window([0, 0, 3, 0, 5], [0, 0, 1, 0, 1])).flatten().tolist() == [5, 5, 5], "else the last value"
    assert SeasonalNaive(3)(window([7, 8, 9, 1], horizon=7)).flatten().tolist() == [8, 9, 1, 8, 9, 1, 8]


def test_gaps_are_interpolated():
    x, last = features(window([0, 2, 0, 0, 8, 0], [0, 1, 0, 0, 1, 0]))
    assert last.item() == 8 and (x.flatten() + 8).tolist() == [2, 2, 4, 6, 8, 8]
    x, last = features(window([5, 5, 5], [0, 0, 0]))
    assert last.item() == 0 and x.abs().sum() == 0


def test_the_ridge_is_scikit_learns():
    data = Frame.of(hourly(300), lookback=8, horizon=3)
    linear = baselines(data)["linear"]
    x, y = [], []
    for batch in batches(data.dataset("train")):
        found, last = features(batch)
        x.append(found.flatten(0, 1)), y.append((batch["future_values"] - last).transpose(1, 2).flatten(0, 1))
    x, y = torch.cat(x).double(), torch.cat(y).double()
    theirs = Ridge(linear.penalty * float(x.square().sum()) / 8, fit_intercept=False).fit(x.numpy(), y.numpy())
    torch.testing.assert_close(linear.weight, torch.from_numpy(theirs.coef_.T).float(), rtol=1e-4, atol=1e-5)
    moments = Moments.of(batches(data.dataset("train")), 8, 3)
    assert moments.error(linear.weight.double()) == pytest.approx(
        float((y - x @ linear.weight.double()).square().sum())
    )
    assert moments.count == len(x) and moments.xx.shape == (8, 8), "constant memory"


def test_the_penalty_is_chosen_on_validation_windows():
    """A strong one where there is nothing to learn, a weak one where there is."""
    noise = Frame.of(hourly(120, channels=1), lookback=30, horizon=2, split=[0.5, 0.3, 0.2])
    frame = hourly(2000, channels=1)
    frame["a"] = np.sin(np.arange(2000) / 5) + 1e-3 * frame["a"]
    sine = Frame.of(frame, lookback=30, horizon=2)
    assert baselines(sine)["linear"].penalty < 1e-2 < baselines(noise)["linear"].penalty
    assert score(baselines(sine), sine.dataset("test"), sine.mase_scale)["linear"]["mse"] < 1e-3


def test_rows_that_are_not_whole_are_left_out_and_nothing_to_learn_is_no_row():
    frame = hourly(300)
    frame.loc[::7, "a"] = np.nan
    data = Frame.of(frame, lookback=8, horizon=3, gaps="mask")
    found = baselines(data)
    assert all(torch.isfinite(each(next(batches(data.dataset("test"))))).all() for each in found.values())
    assert list(found) == ["repeat_last", "linear"], "a season of 24 is longer than the lookback"
    moments = Moments.of(batches(data.dataset("train")), 8, 3)
    whole = sum(int(b["future_observed_mask"].all(1).sum()) for b in batches(data.dataset("train")))
    assert moments.count == whole < 2 * len(data.dataset("train"))
    assert fit_linear(iter([]), iter([]), 8, 3) is None


def test_scores_are_means_over_observed_cells():
    frame = hourly(300)
    frame.loc[200:220, "a"] = np.nan
    data = Frame.of(frame, lookback=24, horizon=3, gaps="mask")
    (batch,) = batches(data.dataset("test"), 10_000)
    there = batch["future_observed_mask"]
    error = (repeat_last(batch) - batch["future_values"]).abs()
    found = score({"last": repeat_last}, data.dataset("test"), data.mase_scale)["last"]
    assert found["mse"] == pytest.approx(float(error[there].square().mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(float(error[there].mean()), rel=1e-5)
    assert found["mase"] == pytest.approx(float((error / data.mase_scale)[there].mean()), rel=1e-5)
    assert set(score({"last": repeat_last}, data.dataset("test"))["last"]) == {"mse", "mae"}


def test_the_linear_row_finds_an_autoregression():
    frame = hourly(3000, channels=1)
    frame["a"] = autoregression(3000).flatten().numpy()
    data = Frame.of(frame, lookback=24, horizon=1)
    found = score(baselines(data), data.dataset("test"), data.mase_scale)
    assert (
        found["linear"]["mse"] == pytest.approx(1 - 0.7**2, rel=0.12)
        and found["linear"]["mse"] < found["repeat_last"]["mse"]
    )


PUBLISHED = {96: (1.294, 0.713), 192: (1.325, 0.733), 336: (1.330, 0.746), 720: (1.335, 0.755)}


@pytest.mark.parametrize("horizon", PUBLISHED)
def test_the_protocol_gives_the_published_figures_of_the_last_value(shared_data, horizon):
    """ETTh1, all windows of the 4 test months, z-scored by the 12 training months (docs/results.md)."""
    file = shared_data / "ETT-small" / "ETTh1.csv"
    if not file.is_file():
        pytest.skip(f"{file.name} is not at hand")
    data = ETT(
        folder=str(shared_data), name="ETTh1", time="date", split=[8640, 2880, 2880], lookback=336, horizon=horizon
    )
    data.setup()
    found = score({"last": repeat_last}, data.dataset("test"))["last"]
    assert (found["mse"], found["mae"]) == pytest.approx(PUBLISHED[horizon], abs=0.002)
    assert len(data.dataset("test")) == 2880 - horizon + 1
