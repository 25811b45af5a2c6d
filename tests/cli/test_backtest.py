"""`python -m zoo backtest RUN`: the test's own figure from every origin, and models trained again as time goes on (E10)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.cli.series import table, trained
from zoo.errors import ZooError
from zoo.reports import backtest
from zoo.reports.of_run import of_run, settings_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("series"), table())


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """Two series of other lengths, with missing rows and cells."""
    short = table(seed=1).iloc[40:].assign(id="y")
    frame = pd.concat([table().assign(id="x"), short]).reset_index(drop=True)
    frame.loc[230:233, "a"] = np.nan
    frame = frame.drop(index=[100, 245, 246, 470])
    return trained(tmp_path_factory.mktemp("gappy"), frame, "data.id=id", "data.gaps=mask")


def mse_of(run):
    return json.loads((run / "summary.json").read_text())["metrics"]["test/mse"]


@pytest.mark.parametrize("which", ["run", "gappy"])
def test_each_origin_gives_the_figures_of_the_test(zoo, request, which):
    run = request.getfixturevalue(which)
    code, out, err = zoo("backtest", run)
    assert code == 0, err
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if "/" not in line}
    assert {"repeat_last", "linear", "model"} <= rows.keys()
    for name, value in zip(("mse", "mae", "mase"), rows["model"], strict=True):
        assert float(value) == pytest.approx(metrics[f"test/{name}"], abs=1e-5)

    found = pd.read_csv(run / "backtest" / "errors.csv", keep_default_na=False)
    assert list(found) == ["series", "channel", "step", "values", "mse", "mae", "mase"]
    assert len(found) == (12 if which == "run" else 24) and set(found["step"]) == set(range(1, 7))
    whole = np.average(found["mse"], weights=found["values"])
    assert abs(whole - metrics["test/mse"]) <= 1e-6
    with Image.open(run / "backtest" / "backtest.png") as image:
        assert image.width > 1000


def test_every_sth_origin_of_each_series(gappy):
    model, data, _ = of_run(gappy)
    whole, some = backtest.backtest(model, data), backtest.backtest(model, data, 5)
    for series in (0, 1):
        each = whole.origins[whole.origins[:, 0] == series]
        assert torch.equal(some.origins[some.origins[:, 0] == series], each[::5])
    kept = torch.isin(
        whole.origins[:, 0] * 10**6 + whole.origins[:, 1], some.origins[:, 0] * 10**6 + some.origins[:, 1]
    )
    torch.testing.assert_close(some.errors["model"].windows, whole.errors["model"].windows[kept], equal_nan=True)


def test_one_refit_is_the_run(run):
    """E10: from scratch, by the run's own seed and settings, on the same rows: the same model."""
    _, data, config = of_run(run)
    settings, patience = settings_of(run, config)
    scored = backtest.refitted(data, settings, 1, patience=patience)
    assert float(scored.errors["model"].mse()) == pytest.approx(mse_of(run), abs=1e-6)
    assert patience is None and len(scored.folds) == 1


def test_e10_each_fold_trains_from_scratch_on_what_precedes_it_alone(run):
    """E10: what comes later, and the run's own weights, decide nothing."""
    _, data, config = of_run(run)
    settings, _ = settings_of(run, config)
    bounds = backtest.fold_bounds(data, 3)
    begin = bounds[:, 1]
    other = backtest.until(data, begin)
    held = int(data.loaded().parts["val"][0, 1] - data.loaded().parts["val"][0, 0])
    assert int(other.rows_of("train").max()) < begin[0] - held <= int(other.rows_of("val").min())
    assert int(other.rows_of("val").max()) < begin[0] == int(other.rows_of("test").min())

    changed = Path(run).parent / "changed.csv"
    frame = table()
    frame.loc[int(begin[0]) :, ["a", "b"]] *= 3
    frame.to_csv(changed, index=False)
    _, later, _ = of_run(run, str(changed))
    one, two = (backtest._train(settings, backtest.until(each, begin), None).state_dict() for each in (data, later))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_refits_cover_each_origin_once_on_the_runs_scale(zoo, gappy):
    code, out, err = zoo("backtest", gappy, "--refit", "3", "--every", "4")
    assert code == 0, err
    _, data, config = of_run(gappy)
    scored = backtest.refitted(data, settings_of(gappy, config)[0], 3, 4)
    wanted = backtest.thinned(data.dataset("test").origins, 4)
    assert len(scored.origins) == len(wanted) == sum(fold.windows for fold in scored.folds)
    assert len(torch.unique(scored.origins, dim=0)) == len(wanted)
    trained_on = [fold.trained for fold in scored.folds]
    assert trained_on == sorted(trained_on) and trained_on[0] < trained_on[-1]
    total = sum(fold.mse * n for fold, n in zip(scored.folds, _cells(scored, data), strict=True)) / sum(
        _cells(scored, data)
    )
    assert total == pytest.approx(float(scored.errors["model"].mse()), rel=1e-9)
    assert "trained from scratch before each" in out and out.count("2020-01-") == 3
    # repeating the last value does not depend on what was trained: on one scale it is the same with refits and without
    plain = backtest.backtest(of_run(gappy)[0], data, 4)
    assert float(scored.errors["repeat_last"].mse()) == pytest.approx(
        float(plain.errors["repeat_last"].mse()), rel=1e-5
    )


def _cells(scored, data):
    """Observed cells of each fold."""
    data, counts, at = data.dataset("test"), [], 0
    for fold in scored.folds:
        seen = 0
        for series, row in scored.origins[at : at + fold.windows].tolist():
            begin = int(data.starts[series]) + row
            observed = data.arrays.observed
            seen += int(observed[begin : begin + data.horizon].sum())
        counts.append(seen)
        at += fold.windows
    return counts


def test_bad_settings_are_refused_by_one_sentence(refused, run, tmp_path):
    assert "--every 0 is below 1" in refused("backtest", run, "--every", "0")
    assert "--refit 0 is below 1" in refused("backtest", run, "--refit", "0")
    assert "--every 1000 is beyond the 47 windows" in refused("backtest", run, "--every", "1000")
    assert "--refit 1000 is more parts than the test part has origins, 47" in refused(
        "backtest", run, "--refit", "1000"
    )
    assert "has no config.yaml" in refused("backtest", run / "model")
    assert "has no config.yaml" in refused("backtest", tmp_path / "nothing")
    assert "is not there" in refused("backtest", run, "--data", "nothing.csv")


def test_a_run_of_another_kind_is_refused(refused, request):
    assert "forecasts no series" in refused("backtest", request.getfixturevalue("run_of_images"))


@pytest.fixture
def run_of_images(tmp_path):
    from omegaconf import OmegaConf

    import zoo

    model = zoo.create_model("vit_mini_patch2_8")
    zoo.save(model, tmp_path / "model")
    OmegaConf.save(
        OmegaConf.create({"model": model.config, "data": {"_target_": "datamodules.images.Digits"}}),
        tmp_path / "config.yaml",
    )
    return tmp_path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model._target_", "os.system"),
        ("task.optimizer._target_", "builtins.exec"),
        ("task._target_", "subprocess.run"),
        ("data._target_", "shutil.rmtree"),
    ],
)
def test_a_runs_config_builds_nothing_that_is_not_declared(run, path, value, tmp_path):
    """A8: config.yaml may be somebody else's."""
    import shutil

    from omegaconf import OmegaConf

    shutil.copytree(run, tmp_path / "run")
    config = OmegaConf.load(tmp_path / "run" / "config.yaml")
    OmegaConf.update(config, path, value)
    OmegaConf.save(config, tmp_path / "run" / "config.yaml")
    with pytest.raises(ZooError):
        settings_of(tmp_path / "run", of_run(tmp_path / "run")[2])
