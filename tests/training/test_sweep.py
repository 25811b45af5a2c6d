"""Sweeps: a job is a process of its own, failures stand in the table (A2, A3, A4, A5)."""

import csv
import json

import pytest
from omegaconf import OmegaConf

from tests.training.conftest import TINY, train
from zoo.conf import quoted
from zoo.training.table import SweepTable, as_csv, over_seeds, read_jobs, show


def job(sweep, number, overrides, accuracy=None, name="{}"):
    folder = sweep / name.format(number)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "hydra.yaml").write_text(f"hydra:\n  job:\n    num: {number}\n")
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    if accuracy is not None:
        metrics = {"val/accuracy": 0.0, "test/accuracy": accuracy, "test/samples": 360.0}
        (folder / "summary.json").write_text(json.dumps({"metrics": metrics}))


def test_table(tmp_path):
    for number, (depth, seed, accuracy) in enumerate([(2, 0, 0.5), (2, 1, 0.7), (4, 0, 0.9), (4, 1, None)]):
        job(tmp_path, number, [f"model.depth={depth}", f"seed={seed}", "+x.y=[1,2]"], accuracy)
    job(tmp_path, 4, ["seed=9"])
    (tmp_path / "4" / ".hydra" / "ended").touch()  # fast_dev_run leaves no summary
    jobs = read_jobs(tmp_path)
    assert jobs.pop()["status"] == "finished"
    rows = list(csv.DictReader(as_csv(jobs + over_seeds(jobs)).splitlines()))
    assert [row["job"] for row in rows] == ["0", "1", "2", "3", "mean", "std"]
    assert [row["status"] for row in rows] == ["finished"] * 3 + ["failed", "", ""]
    assert rows[0]["model.depth"] == "2" and rows[0]["x.y"] == "[1,2]"
    mean, std = rows[4:]
    assert mean["seed"] == "2 seeds" and mean["model.depth"] == "2"
    assert float(mean["test/accuracy"]) == pytest.approx(0.6)
    assert float(std["test/accuracy"]) == pytest.approx(0.02**0.5)
    assert "test/samples" not in rows[0]


def test_a_terminal_of_80_columns_shows_a_sweep_of_pairs_whole(tmp_path, capsys, monkeypatch):
    """What was counted is no metric, and a column of "finished" takes nobody's room."""
    monkeypatch.setenv("COLUMNS", "80")
    names = {"loss": 3.14, "accuracy": 0.1, "exact_match": 0.0, "perplexity": 23.1357, "tokens": 741.0}
    for number, model in enumerate(("bahdanau", "luong")):
        job(tmp_path, number, [f"model={model}", f"score={('additive', 'dot')[number]}"], 0.5)
        metrics = {f"test/{name}": value for name, value in names.items()}
        (tmp_path / str(number) / "summary.json").write_text(json.dumps({"metrics": metrics}))
    show(read_jobs(tmp_path), tmp_path)
    out = capsys.readouterr().out
    assert all(f" {word} " in out for word in ("bahdanau", "additive", "exact_match", "perplexity", "23.1357"))
    assert "tokens" not in out and "status" not in out


def end(sweep):
    """How a sweep in this folder ends: the exit code."""
    with pytest.raises(SystemExit) as error:
        SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    return error.value.code


def test_jobs_are_known_by_their_number_whatever_their_folders_are_called(tmp_path, capsys):
    for number in (0, 2, 10):
        job(tmp_path, number, [f"seed={number}"], 0.5 if number else None, name="j_{}/deep")
    assert [row["job"] for row in read_jobs(tmp_path)] == ["j_0/deep", "j_2/deep", "j_10/deep"]
    assert end(tmp_path) == 1
    assert "1 of 3 jobs failed: j_0/deep (seed=0)" in capsys.readouterr().err
    assert (tmp_path / "sweep.csv").exists()


def test_a_table_that_cannot_be_made_is_a_failure(tmp_path, capsys):
    assert end(tmp_path / "empty") == 1
    assert "holds no job" in capsys.readouterr().err
    job(tmp_path, 0, ["seed=0"], 0.5)
    (tmp_path / "0" / "summary.json").write_text("{")
    assert end(tmp_path) == 1
    assert "JSONDecodeError" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_in_a_folder_with_an_apostrophe(tmp_path):
    sweep = tmp_path / 'it\'s "mine"'
    done = train("-m", "seed=0,1", "debug=fast_dev_run", f"hydra.sweep.dir={quoted(sweep)}", "callbacks=none")
    assert done.returncode == 0, done.stderr
    with open(sweep / "sweep.csv", newline="") as file:
        status = {row["job"]: row["status"] for row in csv.DictReader(file)}
    assert status == {"0": "finished", "1": "finished", "mean": "", "std": ""}


@pytest.mark.slow
def test_a4_a_failed_job_stands_in_the_table_and_the_others_run(tmp_path):
    sweep = tmp_path / "sweep"
    arguments = ("-m", "model.dim=16,17", "seed=0,1", *TINY[:-2], "callbacks=none", "model.depth=1")
    done = train(*arguments, f"hydra.sweep.dir={sweep}")
    assert done.returncode == 1
    assert "error: 2 of 4 jobs failed: 2 (model.dim=17 seed=0); 3 (model.dim=17 seed=1)" in done.stderr
    with open(sweep / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == ["0", "1", "2", "3", "mean", "std"]
    assert "Traceback" in (sweep / "2" / "train.log").read_text()
    assert "not divisible" in (sweep / "3" / "train.log").read_text()
    assert "Sweep" in done.stdout

    # A5: the same command again leaves finished jobs alone.
    before = (sweep / "0" / "summary.json").stat().st_mtime_ns
    again = train(*arguments, f"hydra.sweep.dir={sweep}")
    assert again.returncode == 1
    assert "job 0 is finished already" in again.stdout
    assert (sweep / "0" / "summary.json").stat().st_mtime_ns == before
