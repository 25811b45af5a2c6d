"""A forecasting run from end to end, in this process: heads, stopping early, going on, what is refused before it trains."""

import csv

import pytest
import torch

import zoo
from tests.datamodules.series.tables import hourly
from tests.tasks.series import autoregression
from tests.training.compose import compose
from zoo.errors import ZooError
from zoo.models.series.conformal import Conformal
from zoo.training.run import train
from zoo.training.summary import finish

QUICK = ("trainer.max_epochs=2", "+trainer.enable_progress_bar=false", "data.lookback=24", "data.horizon=4", "~logger")
SMALL = ("model.dim=8", "model.depth=1", "model.num_heads=2", "model.hidden=16")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    frame = hourly(260)
    frame[["a", "b"]] = autoregression(260, channels=2).numpy()
    path = tmp_path_factory.mktemp("table") / "my.csv"
    frame.to_csv(path, index=False)
    return path


def run(folder, table, model="nlinear", *overrides, callbacks="none"):
    given = (f"model={model}", "data=csv", f"data.path={table}", "data.time=time", f"callbacks={callbacks}")
    return train(compose(*given, *QUICK, *overrides, run=folder), folder)


HEADS = ("point", "quantile", "normal", "student_t", "mixture")


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_is_measured_and_comes_back(head, table, tmp_path):
    record = run(tmp_path, table, "nlinear", f"head={head}")
    measured = {name.removeprefix("test/") for name in record.metrics if name.startswith("test/")}
    assert measured == {"loss", "mse", "mae", "mase", "samples"} | (
        {"crps", "wql", "coverage_80"} if head != "point" else set()
    )
    assert record.metrics["test/samples"] == record.data.test_size == 52 - 4 + 1
    finish(record, tmp_path, [], {})
    with open(tmp_path / "baselines.csv") as file:
        rows = {row["forecast"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"repeat_last", "seasonal_naive", "linear", "model"}
    assert float(rows["model"]["mse"]) == pytest.approx(record.metrics["test/mse"], rel=1e-5)
    again, model = zoo.load(tmp_path), record.task.model.eval()
    batch = next(iter(record.data.test_dataloader()))
    a, b = model(*model.inputs(batch)), again(*again.inputs(batch))
    assert torch.equal(a.mean, b.mean) and again.preprocess == model.preprocess
    if head != "point":
        assert torch.equal(model.intervals(a), again.intervals(b))


@pytest.mark.parametrize("model", ["patchtst", "informer", "transformer", "itransformer", "dlinear"])
def test_every_model_trains_with_quantiles(model, table, tmp_path):
    small = SMALL if model not in ("dlinear",) else ()
    small = [each for each in small if not (model in ("informer", "transformer") and "hidden" in each)]
    patches = ("model.patch=8", "model.stride=4") if model == "patchtst" else ()
    record = run(tmp_path, table, model, "head=quantile", *small, *patches, "trainer.max_epochs=1")
    assert record.metrics["test/mse"] < 5 and 0 <= record.metrics["test/coverage_80"] <= 1


def test_conformal_quantiles_are_kept_with_the_run(table, tmp_path):
    record = run(tmp_path, table, "nlinear", "task.conformal=true")
    assert "test/coverage_80" in record.metrics
    finish(record, tmp_path, [], {})
    again = zoo.load(tmp_path)
    assert isinstance(again.head, Conformal) and again.head.calibrated
    assert torch.equal(again.head.offsets, record.task.model.head.offsets)
    with pytest.raises(ZooError, match=r"9 at least; there are [0-8]:"):
        run(tmp_path, table, "nlinear", "task.conformal=true", "data.split=[200,8,52]")


def test_training_stops_early(table, tmp_path):
    still = ("task.optimizer.lr=0", "callbacks.early_stopping.patience=2", "callbacks.figures=null")
    record = run(tmp_path, table, "nlinear", *still, "trainer.max_epochs=50", callbacks="early_stopping")
    assert record.trainer.current_epoch == 3


def test_e9_stopping_early_without_validation_rows_is_refused(table, tmp_path):
    with pytest.raises(ZooError, match="EarlyStopping watches val/loss, but there is no validation data; leave it out"):
        run(tmp_path, table, "nlinear", "data.split=[.8,0,.2]", callbacks="early_stopping")
    assert run(tmp_path, table, "nlinear", "data.split=[.8,0,.2]").metrics["test/samples"] == 49


def test_e7_columns_that_a_model_does_not_read_are_refused_by_name(table, tmp_path):
    for model in ("nlinear", "dlinear", "itransformer"):
        with pytest.raises(
            ZooError, match=r"reads no exogenous columns, and the data has data.future=\['b'\]; leave them out"
        ):
            run(tmp_path, table, model, "data.targets=[a]", "data.future=[b]")


def test_pretraining_leads_to_a_forecaster(table, tmp_path):
    patches = ("model.patch=8", *SMALL)
    record = run(tmp_path / "first", table, "patchtst", "task=masked_patches", *patches)
    assert {"test/loss", "test/samples"} <= set(record.metrics) and "test/mase" not in record.metrics
    finish(record, tmp_path / "first", [], {})
    assert not (tmp_path / "first" / "baselines.csv").exists()
    more = (f"init={tmp_path / 'first'}", "finetune=linear_probe", "data.targets=[a]", "data.horizon=6")
    record = run(tmp_path / "second", table, "patchtst", *more, *patches)
    assert record.metrics["test/samples"] == 52 - 6 + 1
    model = record.task.model
    assert (model.channels, model.horizon, model.masking, model.patch_embed.stride) == (1, 6, None, 8)
