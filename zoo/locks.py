"""A file that one process holds: the kernel's lock, which it takes back when its holder ends, however it ends."""

import errno
import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

#: What a lock begins with.
OURS = b"process "


class Taken(Exception):
    """Another process holds it; its text says which, where that is known."""


class NoLocks(Exception):
    """The system or the file system has no locks; its text is the reason."""


def take(path: Path) -> BinaryIO:
    """Hold a file until it is closed, by `give_back` or because the process ends. Does not wait.

    The lock is POSIX's (fcntl), not the file's being there: a holder that was killed holds nothing, and no process number has
    to be believed. It is the process's: threads, and a second `take` of the same file, are for the caller to keep apart.

    Raises: Taken, NoLocks, and OSError where the file or its folder cannot be written, or what lies there is no lock: a link,
        a pipe, a file with other content. Nothing of that is touched.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open(path)
        try:
            _lock(file)
        except BaseException:
            file.close()
            raise
        if _same(file, path):
            break
        file.close()  # its last holder removed it between our opening and our locking
    if not OURS.startswith(file.read(len(OURS))):  # empty, or cut, where its holder was killed
        file.close()
        raise _no_lock(path, "a file that is not of ours")
    file.seek(0)
    file.truncate()
    file.write(
        f"{OURS.decode()}{os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode()
    )
    file.flush()
    return file


def give_back(file: BinaryIO, path: Path) -> None:
    """Remove the file and end the lock."""
    with suppress(OSError):
        path.unlink()  # while it is held: nobody can have taken it over
    file.close()


def _open(path: Path) -> BinaryIO:
    """A plain file of this one name, made where it is not there: writing to what a link leads to would be another's loss."""
    # Without O_NONBLOCK a pipe might be waited for.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = open(os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0)  # noqa: SIM115 the lock's life
    except OSError as error:
        raise _no_lock(path, "a link") if error.errno == errno.ELOOP else error from None
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_nlink < 2:
        return file
    file.close()
    raise _no_lock(path, "not a plain file" if not stat.S_ISREG(found.st_mode) else "a file of several names")


def _no_lock(path: Path, what: str) -> OSError:
    return OSError(errno.EINVAL, f"its {path.name} is {what}; remove it", str(path))


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
