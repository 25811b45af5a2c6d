"""The sets that have names: rows, columns, splits as published; other files under their names are refused."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.sampling import BatchIndex
from datamodules.series import ETT, Csv, ExchangeRate
from tests.datamodules.series.tables import Frame, hourly
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def etth1(request):
    folder = request.getfixturevalue("shared_data")
    data = ETT(folder=str(folder), lookback=336, horizon=96)
    data.setup()
    return data


def test_etth1_as_published(etth1):
    """12, 4 and 4 months: 8,640, 2,880 and 2,880 hours; the scaler's mean and deviation are those of the first 8,640 rows."""
    assert [len(etth1.windows(stage)) for stage in ("train", "val", "test")] == [8640 - 336 - 96 + 1, 2785, 2785]
    assert etth1.spec.names == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT") and etth1.spec.freq == "h"
    training = pd.read_csv(f"{etth1.folder}/ETT-small/ETTh1.csv").iloc[:8640, 1:]
    np.testing.assert_allclose(etth1.source.preprocess.mean, training.mean(), rtol=1e-12)
    np.testing.assert_allclose(etth1.source.preprocess.std, training.std(ddof=0), rtol=1e-12)
    windows = etth1.windows("test")
    assert str(windows.stamp(int(windows.origins[0, 1])))[:13] == "2017-10-24T00"
    assert etth1.rows_of("test").tolist() == list(range(11520, 14400))


def test_dropping_the_last_short_batch_moves_the_figure(etth1):
    """E1: a closed-form linear map at horizon 336, the same weights throughout: the figure of all windows, and without the last
    short batch of 32, 128 and 512, which hold the end of the test part."""
    folder = etth1.folder
    data = ETT(folder=folder, lookback=336, horizon=336, stride=5)
    data.setup()
    rows = data.windows("train")
    batch = rows.__getitems__(BatchIndex(0, list(range(len(rows)))))
    past, future = (batch[key].transpose(1, 2).flatten(0, 1).double() for key in ("past_values", "future_values"))
    last = past[:, -1:]
    gram = (past - last).T @ (past - last)
    weight = torch.linalg.solve(gram + 1000 * torch.eye(336, dtype=torch.float64), (past - last).T @ (future - last))
    test = data.windows("test")
    errors = []
    for first in range(0, len(test), 512):
        batch = test.__getitems__(BatchIndex(0, list(range(first, min(len(test), first + 512)))))
        past = batch["past_values"].transpose(1, 2).double()
        made = (past - past[..., -1:]) @ weight + past[..., -1:]
        errors.append((made - batch["future_values"].transpose(1, 2)).square().mean((1, 2)))
    error = torch.cat(errors)
    assert len(error) == 2880 - 336 + 1
    figures = {size: float(error[: len(error) // size * size].mean()) for size in (1, 32, 128, 512)}
    assert figures[1] == float(error.mean()) and figures[1] < 0.5
    assert figures[32] == pytest.approx(figures[1], abs=0.005) and figures[512] < figures[1] - 0.015, figures
    data.batch_size = 512
    assert sum(len(each["past_values"]) for each in data.test_dataloader()) == len(error), "nothing is dropped here"


def test_another_file_under_its_name(tmp_path, shared_data):
    (tmp_path / "ETT-small").mkdir()
    source, target = shared_data / "ETT-small" / "ETTh1.csv", tmp_path / "ETT-small"
    lines = source.read_text().splitlines(keepends=True)
    (target / "ETTh1.csv").write_text("".join(lines[:-1]))
    with pytest.raises(ZooError, match=r"ETTh1\.csv is damaged or another file: its sha256"):
        ETT(folder=str(tmp_path)).setup()
    (target / "ETTh2.csv").write_text("".join(lines[:-1]))
    with pytest.raises(
        ZooError, match="has 17,419 rows, 8 columns and the first stamp 2016-07-01; ETTh2 has 17,420 rows"
    ):
        ETT(folder=str(tmp_path), name="ETTh2").setup()
    shutil.copy(source, target / "ETTh2.csv")
    other = ETT(folder=str(tmp_path), name="ETTh2", lookback=96, horizon=24)
    other.setup()
    assert [len(other.windows(stage)) for stage in ("train", "val", "test")] == [8521, 2857, 2857]
    with pytest.raises(ZooError, match=r"data\.name=ETTh3 is unknown"):
        ETT(name="ETTh3")


def test_ettm_counts_quarters_of_an_hour():
    assert ETT(name="ETTm1").split == [34560, 11520, 11520] and ETT(name="ETTm2", split=[0.6, 0.2, 0.2]).split[0] == 0.6


def test_one_column_of_a_set(shared_data):
    data = ETT(folder=str(shared_data), targets=["OT"], past=["HUFL"], lookback=48, horizon=24)
    data.setup()
    assert data.spec.names == ("OT",) and data.spec.past_covariates == 1
    assert data.windows("val")[0]["past_covariates"].shape == (48, 1)


def test_exchange_rates(shared_data):
    """.7, .1 and .2 of 7,588 days, without stamps."""
    data = ExchangeRate(folder=str(shared_data), lookback=96, horizon=96)
    data.setup()
    assert [len(data.windows(stage)) for stage in ("train", "val", "test")] == [5311 - 191, 760 - 95, 1517 - 95]
    assert data.spec.channels == 8 and data.spec.time_features == 0 and data.season == 1


def test_series_that_begin_and_end_at_other_times():
    """Parts are cut at the same moments for all: nothing is trained on that is later than what is tested."""
    frames = [hourly(200).assign(id="a"), hourly(120, seed=1, start="2020-01-04").assign(id="b")]
    data = Frame.of(pd.concat(frames), id="id", lookback=12, horizon=6, split=[0.5, 0.25, 0.25])
    assert data.source.parts["train"].tolist() == [[0, 100], [0, 28]]
    assert data.source.parts["test"].tolist() == [[150, 200], [78, 120]]
    windows = {stage: data.windows(stage) for stage in ("train", "val", "test")}
    last = max(w.stamp(row + 5, series) for w in [windows["train"]] for series, row in w.origins.tolist())
    first = min(w.stamp(row, series) for w in [windows["val"]] for series, row in w.origins.tolist())
    assert last < first
    assert (windows["test"].origins[:, 0] == 1).sum() == 42 - 5


def test_rows_of_a_long_table_may_be_mixed():
    frames = [hourly(100).assign(id="a"), hourly(100, seed=1).assign(id="b")]
    one = Frame.of(pd.concat(frames), id="id", lookback=12, horizon=6)
    other = Frame.of(pd.concat(frames).sort_values("time", kind="stable"), id="id", lookback=12, horizon=6)
    assert torch.equal(one.source.arrays.values, other.source.arrays.values)


def test_targets_are_the_numbers_left_over(tmp_path):
    frame = hourly(100, channels=3).assign(note="x")
    frame.to_csv(tmp_path / "my.csv")  # with pandas' column of row numbers, which has no name
    data = Csv(path=str(tmp_path / "my.csv"), time="time", past=["b"], lookback=12, horizon=6)
    data.setup()
    assert data.spec.names == ("a", "c") and data.spec.past_covariates == 1


def test_strides():
    data = Frame.of(hourly(300), lookback=24, horizon=12, stride=7, eval_stride=5)
    assert data.windows("train").origins[:3, 1].tolist() == [24, 31, 38]
    assert data.windows("test").origins[:3, 1].tolist() == [240, 245, 250]
    assert "5th window" in data.describe()


def test_no_validation_rows():
    data = Frame.of(hourly(300), lookback=24, horizon=12, split=[0.8, 0, 0.2])
    assert data.val_dataloader() == [] and data.val_size == 0 and data.test_size == 49
