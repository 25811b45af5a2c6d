"""The benchmark of forecasters runs, on small ones, and writes what it promises. Nothing here looks at a time."""

import json
from functools import partial

import pytest
import torch

import zoo
from benchmarks import __main__ as door
from benchmarks import forecasting, growth, loading, series

PATCHTST = dict(context_length=32, patch_length=8, patch_stride=4, d_model=8, num_attention_heads=2, ffn_dim=16)
PATCHTST |= dict(num_hidden_layers=1, num_input_channels=2, prediction_length=4, batch=16)


@pytest.fixture
def small(monkeypatch):
    measures = dict(forecasting.MEASURES)
    measures["train"] = partial(forecasting.train, **PATCHTST)
    measures["growth"] = partial(growth.measure, lengths=(16, 32))
    monkeypatch.setattr(forecasting, "MEASURES", measures)


def test_rows_are_measured_written_and_resumed(tmp_path, small, capsys):
    out = tmp_path / "f.json"
    only = ["forecasting", "--rounds", "1", "--seconds", "1e-9", "--out", str(out)]
    door.main([*only, "--only", "train/patchtst/eager/0.3"])
    door.main([*only, "--only", "train/patchtst/eager", "--resume"])
    rows = json.loads(out.read_text())["rows"]
    assert set(rows) == {"train/patchtst/eager/0.3", "train/patchtst/eager/0.0"}
    for key, row in rows.items():
        assert {"load", "bar", "ok", "figure"} <= row.keys() and "/".join(row[name] for name in forecasting.NAME) == key
    drops = rows["train/patchtst/eager/0.3"]
    assert drops["bar"] == 1.8 and drops["noise"]["zoo"] > 0 and drops["apart"]["outputs"] <= 1e-4
    assert rows["train/patchtst/eager/0.0"]["noise"] == {"zoo": 0, "hf": 0}
    assert "beside transformers" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(zoo.attention, "ProbSparse"), reason="no ProbSparse yet")
def test_growth_is_plotted(tmp_path, small, capsys):
    out = tmp_path / "g.json"
    door.main(["forecasting", "--rounds", "1", "--out", str(out), "--only", "growth"])
    (row,) = json.loads(out.read_text())["rows"].values()
    assert set(row["slopes"]) == {"probsparse", "full"} and row["bar"] == 1.25
    assert out.with_suffix(".png").stat().st_size > 1000 and "slope" in capsys.readouterr().out


def test_what_would_be_measured_is_listed(capsys, tmp_path):
    door.main(["forecasting", "--list", "--only", "both,memory"])
    assert capsys.readouterr().out.split() == [*(f"both/informer/eager/{n}" for n in (96, 336, 720, 1440)),
                                               "memory/dlinear/eager/10000000"]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        door.main(["forecasting", "--only", "prophet", "--out", str(tmp_path / "x.json")])
    assert stop.value.code == 2 and "--only prophet is not a row" in capsys.readouterr().err


def test_models_that_differ_are_not_compared():
    sizes = {name: value for name, value in PATCHTST.items() if name != "batch"}
    models, given = series.trio(partial(series.patchtst, **sizes), 4)
    series.agree(models, given)
    with torch.no_grad():
        models["zoo"].proj.bias += 0.01
    with pytest.raises(AssertionError, match="outputs"):
        series.agree(models, given)


def test_sizes_are_the_published_ones():
    assert sum(p.numel() for p in series.patchtst().parameters()) == 80_176  # of 41 patches; with 42 it has 81,728


def test_a_long_file_is_trained_on(tmp_path):
    path = tmp_path / "long.csv"
    loading.write(path, 3_000, at_once=1_000)
    lines = path.read_text().splitlines()
    assert (
        len(lines) == 3_001
        and lines[1].startswith("2020-01-01 00:00:00,")
        and lines[-1].startswith("2020-01-01 00:49:59,")
    )
