"""A run's folder is entered before Hydra writes into it, and nothing stays of a start that failed."""

import pytest

from zoo.errors import ZooError
from zoo.training import lock
from zoo.training.folders import Choice, begin
from zoo.training.start import claim, leave


@pytest.fixture(autouse=True)
def new(monkeypatch):
    """A run of its own, not one that is continued."""
    monkeypatch.setattr(Choice, "continued", False)


def written(folder):
    """What Hydra and loggers put there before the first step."""
    for name in (".hydra/config.yaml", "train.log", "tensorboard/events", "something/else"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("file", ["summary.json", "checkpoints/best.ckpt"])
def test_a_folder_with_a_run_is_refused_and_left_as_it_was(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ZooError, match="holds a run already; continue it with ckpt_path="):
        claim(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_stays_of_a_start_that_failed(tmp_path):
    folder = tmp_path / "runs" / "deep" / "one"
    claim(folder)
    written(folder)
    leave(folder, ".hydra")
    lock.release(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path):
    (tmp_path / "notes.txt").touch()
    claim(tmp_path)
    written(tmp_path)
    leave(tmp_path, ".hydra")
    lock.release(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "something"]  # not known to be ours


def test_a_run_that_began_stays(tmp_path):
    folder = tmp_path / "run"
    claim(folder)
    begin(folder, {"seed": 0}, "0" * 12)
    leave(folder, ".hydra")
    lock.release(folder)
    assert (folder / "config.yaml").read_text().startswith("# config_hash: 000000000000")
