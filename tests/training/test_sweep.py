"""Sweeps: a job is a process of its own, failures stand in the table (A2, A3, A4, A5)."""

import csv
import json

import pytest

from tests.training.conftest import TINY, train
from zoo.training.table import as_csv, over_seeds, read_jobs


def job(sweep, number, overrides, accuracy=None):
    folder = sweep / str(number)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    if accuracy is not None:
        metrics = {"val/accuracy": 0.0, "test/accuracy": accuracy, "test/samples": 360.0}
        (folder / "summary.json").write_text(json.dumps({"metrics": metrics}))


def test_table(tmp_path):
    for number, (depth, seed, accuracy) in enumerate([(2, 0, 0.5), (2, 1, 0.7), (4, 0, 0.9), (4, 1, None)]):
        job(tmp_path, number, [f"model.depth={depth}", f"seed={seed}", "+x.y=[1,2]"], accuracy)
    jobs = read_jobs(tmp_path)
    rows = list(csv.DictReader(as_csv(jobs + over_seeds(jobs)).splitlines()))
    assert [row["job"] for row in rows] == ["0", "1", "2", "3", "mean", "std"]
    assert [row["status"] for row in rows] == ["finished"] * 3 + ["failed", "", ""]
    assert rows[0]["model.depth"] == "2" and rows[0]["x.y"] == "[1,2]"
    mean, std = rows[4:]
    assert mean["seed"] == "2 seeds" and mean["model.depth"] == "2"
    assert float(mean["test/accuracy"]) == pytest.approx(0.6)
    assert float(std["test/accuracy"]) == pytest.approx(0.02**0.5)
    assert "test/samples" not in rows[0]


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
