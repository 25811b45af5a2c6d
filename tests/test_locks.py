"""zoo.locks: what lies under a lock's name and is none is not touched."""

import os

import pytest

from zoo import locks
from zoo.catalog import publish
from zoo.errors import ZooError


def linked(lock, theirs):
    lock.symlink_to(theirs)


def to_nowhere(lock, theirs):
    lock.symlink_to(theirs.with_name("new"))


def of_two_names(lock, theirs):
    lock.hardlink_to(theirs)


def a_pipe(lock, theirs):
    os.mkfifo(lock)


def theirs_itself(lock, theirs):
    lock.write_text(theirs.read_text())


KINDS = {linked: "a link", to_nowhere: "a link", of_two_names: "a file of several names", a_pipe: "not a plain file",
         theirs_itself: "a file that is not of ours"}  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
def test_what_is_no_lock_is_not_touched(tmp_path, make):
    theirs, lock = tmp_path / "precious", tmp_path / "zoo" / ".lock"
    theirs.write_text("mine")
    lock.parent.mkdir()
    make(lock, theirs)
    with pytest.raises(OSError, match=f"its .lock is {KINDS[make]}; remove it"):
        locks.take(lock)
    with (
        pytest.raises(ZooError, match=rf"cannot be written \(its .lock is {KINDS[make]}; remove it\)"),
        publish._alone(lock.parent),
    ):
        pass
    assert theirs.read_text() == "mine" and os.path.lexists(lock) and not (tmp_path / "new").exists()


def test_what_a_killed_holder_left_is_taken_over(tmp_path):
    for left in (b"", b"pro", b"process 1 on another machine, since long ago, and longer than what comes after " * 3):
        (lock := tmp_path / ".lock").write_bytes(left)
        file = locks.take(lock)
        assert lock.read_text().startswith(f"process {os.getpid()} on ") and "longer" not in lock.read_text()
        locks.give_back(file, lock)
        assert not lock.exists()
