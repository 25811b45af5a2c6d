"""A training without Hydra: train(config, folder)."""

import pytest
from omegaconf import OmegaConf

from tests.training.compose import compose
from zoo.training.run import train

QUICK = ("model=gat", "trainer.max_epochs=3", "+trainer.enable_progress_bar=false", "callbacks.figures=null")


def test_a_record_in_memory_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose(*QUICK[:-1], "callbacks=none", "~logger")
    before = OmegaConf.to_yaml(config)
    record = train(config, None)
    assert OmegaConf.to_yaml(config) == before and list(tmp_path.iterdir()) == []
    assert {type(value) for value in record.metrics.values()} == {float} and record.metrics["test/samples"] == 1097
    assert record.monitored == record.metrics["val/accuracy"]  # nothing was chosen: the last epoch's
    assert record.task.model.classes == record.data.spec.classes and record.config["model"]["in_dim"] == 64
    again = train(OmegaConf.to_container(config), None, data=record.data)
    assert again.metrics == record.metrics


@pytest.mark.parametrize("callbacks", ["default", "gat_stopping"])
def test_the_monitored_number_is_of_the_chosen_epoch(tmp_path, callbacks):
    record = train(compose(*QUICK, f"callbacks={callbacks}", "task.optimizer.lr=0.5"), tmp_path)
    rows = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    column = rows[0].index("val/accuracy")
    accuracies = [float(row[column]) for row in rows[1:] if row[column]]
    assert record.monitored in [pytest.approx(value) for value in accuracies]
    if callbacks == "default":
        assert record.monitored == pytest.approx(max(accuracies))
    assert (tmp_path / "config.yaml").exists() and (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert not (tmp_path / "summary.json").exists()  # train.py's, of a finished run
