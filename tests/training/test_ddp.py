"""Two processes on a CPU train as one (A1, A2, A12)."""

import csv
import json
import socket
import subprocess

import pytest

from tests.processes import together
from tests.tasks.texts import settings
from tests.training.compose import compose
from tests.training.conftest import TINY, command, environment, train
from zoo.training.run import train as run

pytestmark = pytest.mark.slow


def curve(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_two_processes_follow_the_curve_of_one(tmp_path):
    """In float64, with nothing random, to 1e-6; one folder, one log, each test sample once."""
    settings = (
        *TINY,
        "task.mixing=null",
        "trainer.precision=64-true",
        "trainer.max_epochs=2",
        "++trainer.limit_train_batches=4",
    )
    one = train(*settings, f"paths.runs={tmp_path / 'one'}")
    two = train(*settings, f"paths.runs={tmp_path / 'two'}", "trainer=ddp", "trainer.devices=2")
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    (first,), (second,) = (list((tmp_path / name).iterdir()) for name in ("one", "two"))
    for ours, theirs in zip(curve(first), curve(second), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert {path.name for path in first.rglob("*")} == {path.name for path in second.rglob("*")}
    assert json.loads((second / "summary.json").read_text())["metrics"]["test/samples"] == 360
    assert two.stdout.count("1077 training") == 1


OF_WORDS = """
import json, sys
from pathlib import Path
from tests.training.test_ddp import measured
ours = ("trainer=ddp", "trainer.devices=1", "+trainer.num_nodes=2")
found = {kind: measured(Path(sys.argv[1]), kind, *ours) for kind in ("tags", "spans")}
Path(sys.argv[1], f"{sys.argv[2]}.json").write_text(json.dumps(found))
"""


def measured(folder, kind, *more):
    """Figures of a training of two epochs in float64, in which nothing is drawn but the order."""
    words = (
        *settings(folder, kind),
        "model.dropout=0",
        "model.attn_dropout=0",
        "model.head_dropout=0",
        "callbacks=none",
    )
    how = ("trainer.precision=64-true", "+trainer.enable_progress_bar=false", "~logger")
    return run(compose(*words, *how, *more), None).metrics


def test_a12_two_processes_measure_what_one_does_of_words_and_spans(tmp_path):
    one = {kind: measured(tmp_path, kind) for kind in ("tags", "spans")}
    ranks = together(OF_WORDS, tmp_path)
    for kind, alone in one.items():
        assert alone["train/loss"] > 0 and alone["test/f1"] >= 0
        for found in ranks:
            assert found[kind] == pytest.approx(alone, abs=1e-6)


def test_a2_ranks_with_different_configs_stop(tmp_path):
    """Started by hand, as torchrun or a sweep gone wrong would, with another seed on rank 1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = []
    for rank in (0, 1):
        variables = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        arguments = (*TINY, "trainer=ddp", f"seed={rank}", f"hydra.run.dir={tmp_path / 'run'}")
        arguments += ("hydra.output_subdir=null",) * rank
        ranks.append(
            subprocess.Popen(command(*arguments), env={**environment(), **variables}, stderr=subprocess.PIPE, text=True)
        )
    for process in ranks:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 2, error
        assert "have different configs" in error


def test_a2_a_sweep_job_is_one_group_of_processes(tmp_path):
    sweep = tmp_path / "sweep"
    done = train("-m", "seed=0,1", *TINY, "trainer=ddp", "trainer.devices=2", f"hydra.sweep.dir={sweep}")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in sweep.iterdir()) == ["0", "1", "multirun.yaml", "sweep.csv"]
    for number in (0, 1):
        assert json.loads((sweep / str(number) / "summary.json").read_text())["seed"] == number
        logs = [path.name for path in (sweep / str(number)).glob("*.log")]
        assert logs == ["train.log"]


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    done = train(*TINY, "trainer=ddp", "trainer.devices=2", "data.batch_size=63", f"paths.runs={tmp_path / 'runs'}")
    assert done.returncode != 0
    assert "data.batch_size=63" in done.stderr


def test_two_processes_say_each_sentence_once(tmp_path):
    """Nine test strings over two processes are nine lines of predictions.jsonl, those of one process."""
    words = (
        "model=luong", "model.dim=8", "data.sizes=[16,4,9]", "data.batch_size=8", "trainer.max_epochs=1",
        "trainer.precision=64-true", "+trainer.enable_progress_bar=false", "callbacks.figures=null",
    )  # fmt: skip
    said = {}
    for name, more in {"one": (), "two": ("trainer=ddp", "trainer.devices=2")}.items():
        done = train(*words, *more, f"paths.cache={tmp_path / 'cache'}", f"paths.runs={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        (folder,) = (tmp_path / name).iterdir()
        said[name] = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [row["row"] for row in said["two"]] == list(range(9)) and said["two"] == said["one"]
