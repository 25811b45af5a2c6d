"""A file that one process holds: the kernel's lock, which it takes back when its holder ends, however it ends."""

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class Taken(Exception):
    """Another process holds it; its text says which, where that is known."""


class NoLocks(Exception):
    """The system or the file system has no locks; its text is the reason."""


def take(path: Path) -> BinaryIO:
    """Hold a file until it is closed, by `give_back` or because the process ends. Does not wait.

    The lock is POSIX's (fcntl), not the file's being there: a holder that was killed holds nothing, and no process number has
    to be believed. It is the process's: threads, and a second `take` of the same file, are for the caller to keep apart.

    Raises: Taken, NoLocks, and OSError where the file or its folder cannot be written.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b")  # noqa: SIM115 its life is the lock's
        try:
            _lock(file)
        except BaseException:
            file.close()
            raise
        if _same(file, path):
            break
        file.close()  # its last holder removed it between our opening and our locking
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
    file.flush()
    return file


def give_back(file: BinaryIO, path: Path) -> None:
    """Remove the file and end the lock."""
    with suppress(OSError):
        path.unlink()  # while it is held: nobody can have taken it over
    file.close()


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        raise NoLocks("this system has none") from None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise NoLocks(error.strerror) from None
        file.seek(0)
        raise Taken(file.read(200).decode(errors="replace").strip()) from None


def _same(file: BinaryIO, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
