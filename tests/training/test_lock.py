"""One process a run folder; the lock of a holder that died is nobody's."""

import os
import signal
import subprocess
import sys

import pytest

from zoo.errors import ZooError
from zoo.training import lock

HOLD = """
import sys, pathlib
from zoo.training import lock
lock.acquire(pathlib.Path(sys.argv[1]))
print("held", flush=True)
input()
"""


@pytest.fixture
def holder(root, tmp_path):
    """A process that holds the folder `run`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_a_second_process_is_refused_until_the_first_is_gone(holder, tmp_path, end):
    folder = tmp_path / "run"
    with pytest.raises(ZooError, match=f"run is in use by process {holder.pid} on .*; wait until it ends"):
        lock.acquire(folder)
    if end == "killed":
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert (folder / lock.NAME).exists()  # it means nothing
    else:
        holder.communicate("\n")
        assert not (folder / lock.NAME).exists()
    lock.acquire(folder)
    lock.acquire(folder)  # held by this process: the ranks of one run, train() within train.py
    lock.release(folder)
    assert list(folder.iterdir()) == []


def test_a_number_that_another_process_has_now_holds_nothing(tmp_path):
    (tmp_path / lock.NAME).write_text(f"process {os.getppid()} on here")
    lock.acquire(tmp_path)
    lock.release(tmp_path)


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, caplog):
    import fcntl

    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "lockf", none)
    lock.acquire(tmp_path)
    assert "without locks (Operation not supported); see to it that no other process trains in it" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match=r"file/run cannot be written \(Not a directory\); name another folder"):
        lock.acquire(tmp_path / "file" / "run")
