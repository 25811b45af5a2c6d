"""What a run's card says of data, figure and baseline, whatever the run was."""

from types import SimpleNamespace

import pytest
import torch

from zoo.training import card
from zoo.training.figures import direction, equal


def test_no_place_of_a_machine_is_told():
    from datamodules.text import TextFile

    data = TextFile(path="/home/me/book.txt")
    data.source = SimpleNamespace(corpus=None, splits={"test": torch.arange(3)})
    data.digest = lambda stage: "00"
    given = {
        "_target_": "datamodules.text.TextFile", "path": "/home/me/book.txt", "folder": "/data", "cache": "~/.cache", "seed": 0,
        "tokenizer": {"kind": "file", "path": "C:\\me\\tokenizer.json"}, "split": [0.9, 0.1, 0.0], "_recursive_": False,
    }  # fmt: skip
    told = card.of_data(data, given)
    assert told["config"] == {
        "_target_": "datamodules.text.TextFile", "seed": 0, "tokenizer": {"kind": "file"}, "split": [0.9, 0.1, 0.0],
    }  # fmt: skip
    assert told["licence"] is None and told["part"] == {"name": "test", "samples": 3, "sha256": "00"}


def record(metrics, **task):
    rows = {"test": range(5), "val": range(7)}
    task = SimpleNamespace(**{"monitor": "loss", "mode": "min", "counted": "samples", **task})
    data = SimpleNamespace(rows=rows.__getitem__)
    return SimpleNamespace(task=task, metrics=metrics, monitored=0.5, data=data, config={"trainer": {}})


def test_the_figure_is_of_the_test_part_else_of_the_validation_part():
    found = card.of_metric(record({"test/loss": 0.25, "test/samples": 5.0}))
    assert found == {"name": "test/loss", "direction": "min", "value": 0.25, "samples": 5}
    found = card.of_metric(record({"val/loss": 0.75}))  # of the last epoch; the chosen one's is `monitored`
    assert found == {"name": "val/loss", "direction": "min", "value": 0.5, "samples": 7}


def test_a_run_in_half_precision_is_measured_in_float32(tmp_path):
    from tests.training.compose import compose
    from tests.training.conftest import TINY
    from zoo.training import evaluation
    from zoo.training.run import train

    config = compose(*TINY[:-1], "callbacks=none", "~logger", "trainer.precision=bf16-mixed", "task.monitor=loss")
    found = train(config, None)
    said = card.of_metric(found)
    data, task = found.config["data"], card._without(found.config["task"], ("model", *card.OF_HYDRA))
    again = evaluation.test(found.task.model, data, task).metrics["test/loss"]
    assert said["value"] == again != found.metrics["test/loss"]


def test_the_best_of_what_stands_beside_is_the_baseline():
    assert card.baseline({"gzip -9": 2.4, "xz": 2.2}, "min") == {"name": "xz", "value": 2.2}
    assert card.baseline({"a": 0.4, "b": 0.2}, "max") == {"name": "a", "value": 0.4}
    assert card.baseline({}, "max") is None


@pytest.mark.parametrize(
    "name, stated, measured, samples, same",
    [
        ("test/accuracy", 33 / 36, 34 / 36, 36, True),  # one sample of few
        ("test/accuracy", 33 / 36, 35 / 36, 36, False),
        ("test/accuracy", 0.828, 0.826, 1000, True),  # .2 % of many
        ("test/accuracy", 0.828, 0.825, 1000, False),
        ("test/macro_f1", 0.8, 0.7, None, False),
        ("test/mse", 0.390, 0.3903, 2785, True),  # a thousandth
        ("test/mse", 0.390, 0.3905, 2785, False),
        ("val/loss", 1.9, float("nan"), None, False),
    ],
)
def test_when_two_figures_are_the_same(name, stated, measured, samples, same):
    assert equal(name, stated, measured, samples) is same
    assert direction(name) == ("max" if name[-2:] in ("cy", "f1") else "min")


def test_a_probe_that_cannot_be_made_does_not_lose_a_training(caplog):
    from zoo.models import Model

    class Broken(Model):
        def example(self, draw):
            raise RuntimeError("no such thing")

    assert card.of_model(Broken()) is None and "no such thing" in caplog.text
