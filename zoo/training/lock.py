"""One process a run folder: a lock that the kernel takes back when its holder ends, however it ends."""

import atexit
import errno
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from zoo.errors import ZooError

log = logging.getLogger(__name__)
NAME = ".lock"
_held: dict[Path, BinaryIO] = {}


def acquire(folder: Path) -> None:
    """Hold the folder until this process ends, or `release`.

    The lock is the kernel's (POSIX, fcntl) on `<folder>/.lock`, not the file's being there: a holder that was killed holds
    nothing, and no process number has to be believed. Ranks of one run share what their rank 0 holds.

    Raises: ZooError where another process holds it, on this machine or on another that shares the folder, or where the
        folder cannot be written. Where locks are not to be had (a file system without them), a warning says so.
    """
    if folder in _held:
        return
    try:
        import fcntl
    except ImportError:  # Windows
        log.warning(f"{folder} cannot be locked on this system; see to it that no other process trains in it.")
        return
    file = _open(folder)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip()
        file.close()
        if error.errno in (errno.EACCES, errno.EAGAIN):
            who = holder or "another process"
            raise ZooError(f"{folder} is in use by {who}; wait until it ends, or choose another folder.") from None
        log.warning(
            f"{folder} lies on a file system without locks ({error.strerror}); see to it that no other process trains in it."
        )
        return
    if not _same(file, folder / NAME):  # its last holder removed it between our opening and our locking
        file.close()
        return acquire(folder)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
    file.flush()
    _held[folder] = file
    atexit.register(release, folder)


def release(folder: Path) -> None:
    """Give the folder back; nothing where it is not held."""
    if file := _held.pop(folder, None):
        with suppress(OSError):
            (folder / NAME).unlink()  # while it is held: nobody can have taken it over
        file.close()


def _open(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / NAME, "a+b")
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be written ({error.strerror}); name another folder, hydra.run.dir=..."
        ) from None


def _same(file: BinaryIO, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
