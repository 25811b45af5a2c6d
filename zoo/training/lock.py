"""One process a run folder: a lock that the kernel takes back when its holder ends, however it ends."""

import atexit
import logging
from pathlib import Path
from typing import BinaryIO

from zoo import locks
from zoo.errors import ZooError

log = logging.getLogger(__name__)
NAME = ".lock"
_held: dict[Path, BinaryIO] = {}


def acquire(folder: Path) -> None:
    """Hold the folder until this process ends, or `release`.

    The lock (zoo.locks) is on `<folder>/.lock`. Ranks of one run share what their rank 0 holds.

    Raises: ZooError where another process holds it, on this machine or on another that shares the folder, or where the
        folder cannot be written. Where locks are not to be had (a file system without them), a warning says so.
    """
    if folder in _held:
        return
    try:
        _held[folder] = locks.take(folder / NAME)
    except locks.Taken as holder:
        who = str(holder) or "another process"
        raise ZooError(f"{folder} is in use by {who}; wait until it ends, or choose another folder.") from None
    except locks.NoLocks as reason:
        log.warning(
            f"{folder} lies on a file system without locks ({reason}); see to it that no other process trains in it."
        )
        return
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be written ({error.strerror}); name another folder, hydra.run.dir=..."
        ) from None
    atexit.register(release, folder)


def release(folder: Path) -> None:
    """Give the folder back; nothing where it is not held."""
    if file := _held.pop(folder, None):
        locks.give_back(file, folder / NAME)
