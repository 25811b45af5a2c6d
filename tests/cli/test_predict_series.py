"""`python -m zoo predict RUN my.csv`: what follows the last observed target, in the data's units."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import zoo as library
from tests.cli.series import table, trained
from zoo.series import read_csv


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("series"), table(), "head=quantile")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A run with columns of every kind, on two series."""
    frame = table().assign(id="x", u=np.arange(260) % 7, p=np.arange(260) % 5, kind="hill")
    both = pd.concat([frame, frame.assign(id="y", kind="sea", a=frame["a"] + 7)])
    roles = ["data.id=id", "data.targets=[a]", "data.future=[u]", "data.past=[p]", "data.static=[kind]"]
    return trained(tmp_path_factory.mktemp("known"), both, *roles, "trainer.max_epochs=1")


def test_it_forecasts_what_follows_in_the_datas_units(zoo, run):
    table().tail(40).to_csv("my.csv", index=False)
    code, out, err = zoo("predict", run, "my.csv")
    assert code == 0, err
    title, names, *rows, file, png = out.splitlines()
    assert "data's units" in title and names.split() == ["a", "b"]
    assert [row.split("  ")[1] for row in rows] == [f"2020-01-11 {hour:02}:00" for hour in range(20, 24)] + [
        "2020-01-12 00:00",
        "2020-01-12 01:00",
    ]
    assert (Path(file), Path(png)) == (Path.cwd() / "forecast-my.csv", Path.cwd() / "forecast-my.png")
    found = pd.read_csv("forecast-my.csv")
    levels = [f"q0.{n}" for n in range(1, 10)]
    assert list(found) == ["stamp", "a", *(f"a_{q}" for q in levels), "b", *(f"b_{q}" for q in levels)]
    assert found["a"].between(800, 1200).all() and found["b"].abs().max() < 0.1
    assert (np.diff(found[[f"a_{q}" for q in levels]], axis=1) >= 0).all()

    model = library.load(run)
    encoded = model.preprocess.encode(read_csv("my.csv", model.preprocess.roles))
    with torch.no_grad():
        said = model.preprocess.decode(model(*model.inputs(encoded.inputs)).mean)[0]
    np.testing.assert_allclose(found[["a", "b"]], said, rtol=1e-5)
    with Image.open(png) as image:
        assert min(image.size) > 400


def test_a_model_folder_and_another_place_will_do(zoo, run):
    table().tail(40).to_csv("my.csv", index=False)
    code, _, err = zoo("predict", run / "model", "my.csv", "--out", "there")
    assert code == 0, err
    assert {path.name for path in Path("there").iterdir()} == {"forecast-my.csv", "forecast-my.png"}
    code, *_ = zoo("predict", run, "my.csv", "--out", "there/other.png")
    assert code == 0 and Path("there/other.csv").is_file()


def test_it_begins_behind_the_last_observed_target(zoo, run):
    """Rows with empty targets behind it are the horizon's."""
    frame = table().tail(40)
    frame.loc[frame.index[-3:], ["a", "b"]] = np.nan
    frame.to_csv("my.csv", index=False)
    assert zoo("predict", run, "my.csv")[0] == 0
    assert pd.read_csv("forecast-my.csv")["stamp"][0] == "2020-01-11 17:00"


def test_columns_known_beforehand_stand_in_further_rows(zoo, known):
    history = table(40).assign(id="x", u=1.0, p=2.0, kind="sea").drop(columns="b")
    later = pd.DataFrame({"time": pd.date_range("2020-01-02 16:00", periods=6, freq="h"), "id": "x", "kind": "sea"})
    answers = []
    for value in (0.0, 6.0):
        pd.concat([history, later.assign(u=value)]).to_csv("my.csv", index=False)
        code, _, err = zoo("predict", known, "my.csv")
        assert code == 0, err
        answers.append(pd.read_csv("forecast-my.csv"))
    assert list(answers[0])[:3] == ["series", "stamp", "a"] and set(answers[0]["series"]) == {"x"}
    assert answers[0]["stamp"][0] == "2020-01-02 16:00"
    assert not np.allclose(answers[0]["a"], answers[1]["a"])


BAD = {
    "not_there.csv": (None, "not_there.csv does not exist"),
    "picture.png": (None, "forecasts tables, and picture.png is none; give a .csv file"),
    "short.csv": (table().tail(10), "a forecast needs 24 rows before it .* there are 10"),
    "column.csv": (table().drop(columns="b"), "has no column 'b'"),
    "text.csv": (
        table().astype({"b": object}).replace({"b": {table()["b"][250]: "x"}}),
        "line 252 .*: column 'b' holds 'x'",
    ),
    "gap.csv": (table().drop(index=200), r"line 202 \(2020-01-09 09:00\).*missing before it"),
    "twice.csv": (pd.concat([table(), table().tail(1)]), "the stamp is there twice"),
    "empty.csv": (table().head(0), "no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused_by_one_sentence(refused, run, name):
    frame, words = BAD[name]
    if frame is not None:
        frame.to_csv(name, index=False)
    error = refused("predict", run, name)
    import re

    assert re.search(words, error), error
    assert not list(Path.cwd().glob("forecast*"))


def test_future_columns_that_end_too_early(refused, known):
    history = table(40).assign(id="x", u=1.0, p=2.0, kind="sea").drop(columns="b")
    history.to_csv("my.csv", index=False)
    assert "'u' is known beforehand (data.future), and is missing at 2020-01-02 16:00" in refused(
        "predict", known, "my.csv"
    )


def test_models_that_were_never_told_and_options_of_others(refused, run, tmp_path):
    table().to_csv("my.csv", index=False)
    library.save(library.create_model("dlinear", channels=2, lookback=24, horizon=6), tmp_path / "bare")
    assert "was never trained on a table" in refused("predict", tmp_path / "bare", "my.csv")
    assert "--top 3 is for classes" in refused("predict", run, "my.csv", "--top", "3")
    assert "--node 1 is for a graph" in refused("predict", run, "my.csv", "--node", "1")


def test_info_and_card_tell_of_windows_and_columns(zoo, known):
    code, out, err = zoo("info", known)
    assert code == 0, err
    told = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in out.splitlines() if len(line.split()) > 1}
    assert told["window"] == "24 steps of 1 channel -> 6" and told["score"].endswith("ScaledDot x Full() x Learned")
    assert (told["targets"], told["future"], told["past"], told["static"], told["step"]) == ("a", "u", "p", "kind", "h")
    assert f"python -m zoo predict {known} <table.csv>" in out
    card = (known / "model" / "README.md").read_text()
    assert "24 steps of 1 channel -> 6" in card and "| future | u |" in card and "classifier" not in card


def test_info_of_a_name_whose_sizes_the_data_decide(zoo):
    table().to_csv("my.csv", index=False)
    code, out, err = zoo("info", "informer_512", "data=csv", "data.path=my.csv", "data.time=time")
    assert code == 0, err
    assert "96 steps of 2 channels -> 24" in out and "512" in out
    code, out, _ = zoo("list", "models", "informer*")
    assert code == 0 and "512 wide, 2 blocks, 8 heads" in out


def test_a_model_that_fills_in_patches_is_refused(refused, tmp_path, capsys):
    run = trained(tmp_path, table(), "task=masked_patches", "trainer.max_epochs=1")
    capsys.readouterr()
    table().to_csv("my.csv", index=False)
    for words in (("predict", run, "my.csv"), ("backtest", run), ("report", "leaks", f"run={run}")):
        assert "forecasts nothing; go on from it" in refused(*words)


def test_conformal_quantiles_are_those_of_the_run(zoo, tmp_path, capsys):
    """head=point has none of its own: they are kept with the model."""
    run = trained(tmp_path, table(), "task.conformal=true", "trainer.max_epochs=1")
    assert (run / "figures" / "calibration.png").is_file()
    table().to_csv("my.csv", index=False)
    code, _, err = zoo("predict", run, "my.csv")
    assert code == 0, err
    found = pd.read_csv("forecast-my.csv")
    assert (found["a_q0.9"] > found["a_q0.1"]).all()
