"""Threads by a rule of sizes: never by a timing, written down, and kept by a resume."""

import subprocess
import sys

import pytest
import torch
import yaml

from datamodules.captions import DigitScenes
from datamodules.images.module import tokens_of_an_image
from datamodules.pairs import Reverse
from datamodules.text import TextFile
from tests.training.compose import compose, fit
from tests.training.conftest import environment
from zoo.config import plain
from zoo.errors import ZooError
from zoo.training.checks import check_config
from zoo.training.threads import WORK, threads


class Data:
    """So many images of 8 x 8, of 16 patches."""

    def __init__(self, batch_size):
        self.tokens_per_step, self.batch_size = 16 * batch_size, batch_size


@pytest.fixture
def cores(monkeypatch):
    """As on a machine where torch takes seven, and nobody has said otherwise."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_a_small_step_is_one_threads(cores):
    model, small = torch.nn.Linear(99, 100), Data(64)
    assert threads("auto", model, small) == 1
    assert threads("auto", model, Data(int(WORK / 10_000 / 16))) == 7
    assert (threads(3, model, small), threads(None, model, small)) == (3, None)
    assert threads("auto", model, small, kept=5) == 5 and threads(2, model, small, kept=5) == 2


def test_what_the_user_has_set_is_left_alone(cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads("auto", torch.nn.Linear(2, 2), Data(1)) == 7


def test_nodes_of_a_graph_count():
    data = __import__("datamodules.graphs").graphs.DigitsKNN()
    data.setup()
    assert data.tokens_per_step == 1797


def test_tokens_of_a_text_count(tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 100)
    data = TextFile(path=str(tmp_path / "a.txt"), context=32, batch_size=8, cache=str(tmp_path / "cache"))
    data.setup()
    assert data.tokens_per_step == 8 * 32


def test_patches_of_an_image_count_and_those_of_a_scene():
    """Of 2x2 pixels, 256 at most; beside a captioner's image its caption."""
    assert [tokens_of_an_image(side) for side in (8, 32, 224)] == [16, 256, 256]
    data = DigitScenes(sizes=(30, 10, 10), batch_size=4)
    data.setup()
    said = data.loaded().sides["train"][1].sizes.double().mean()
    assert data.tokens_per_step == int(4 * (144 + said))


def test_tokens_of_both_sides_of_a_pair_count():
    data = Reverse(letters=5, shortest=4, longest=4, sizes=(20, 5, 5), batch_size=8)
    data.setup()
    assert data.tokens_per_step == 8 * (4 + 6)  # the target begins and ends with a token


def test_steps_that_wait_for_each_other_do_not_add_up(cores):
    """A decoder that goes along its target has one token of each sentence at a time."""
    data = Reverse(letters=20, shortest=4, longest=20, sizes=(20, 5, 5), batch_size=128)
    data.setup()
    model = torch.nn.Linear(1, int(WORK) // 256, bias=False)
    assert threads("auto", model, data) == 7
    model.stepping = True
    assert threads("auto", model, data) == 1


@pytest.mark.parametrize("wrong", ["some", "0", "-1", "1.5", "true"])
def test_what_is_no_number_of_threads(wrong):
    with pytest.raises(ZooError, match="is not a number of threads; give auto, null"):
        check_config(plain(compose(f"threads={wrong}")))


def test_a_resumed_run_keeps_its_number(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    few = (
        "callbacks.last={_target_:zoo.callbacks.checkpoint.Checkpoint,dirpath:${paths.run}/checkpoints,filename:last}",
    )
    few = tuple(word.replace("callbacks.last", "+callbacks.last") for word in few)

    def written():
        return yaml.safe_load((tmp_path / "config.yaml").read_text())["threads"]

    fit(tmp_path, *few)
    assert written() == 1 and torch.get_num_threads() == before
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("threads: 1", "threads: 3"))
    fit(tmp_path, *few, "trainer.max_epochs=2", checkpoint=tmp_path / "checkpoints" / "last.ckpt")
    assert written() == 3 and torch.get_num_threads() == before


@pytest.mark.parametrize("door", ["train.py", "zoo"])
@pytest.mark.parametrize("said", [None, "ACTIVE"])
def test_threads_wait_passively_unless_the_user_said_otherwise(root, door, said):
    """Known before torch is there: its OpenMP reads the variable when it is loaded."""
    start = {"train.py": "import train", "zoo": "from zoo.cli import main; main(['--version'])"}[door]
    code = f"import os, sys; {start}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    given = {name: value for name, value in environment().items() if name != "OMP_WAIT_POLICY"}
    given |= {"OMP_WAIT_POLICY": said} if said else {}
    done = subprocess.run([sys.executable, "-c", code], env=given, cwd=root, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{said or 'PASSIVE'} False", done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
@pytest.mark.parametrize(
    "said", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=65536"}]
)
def test_freed_memory_is_kept_unless_the_user_said_otherwise(root, said):
    """A block of 64 MB that comes after one of that size takes no fresh page from the system."""
    code = """
import resource, numpy
from zoo import machine
machine.prepare()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment() | said, cwd=root, capture_output=True, text=True
    )
    first, second = map(int, done.stdout.split())
    assert first > 100 and (second < 100) == (not said), done
