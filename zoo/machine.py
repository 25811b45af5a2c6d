"""What a process asks of the machine, said by train.py and python -m zoo before torch is loaded."""

import ctypes
import os

_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1  # of malloc.h


def prepare() -> None:
    """Threads that sleep while they wait, and freed memory that is kept."""
    wait_passively()
    keep_freed_memory()


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait for each other, unless the user has said how (OMP_WAIT_POLICY).

    By default they spin: beside other work on the machine a small model's training then takes four times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_freed_memory() -> None:
    """Let glibc hold what was freed for the next block, unless the user has said how (MALLOC_*_, GLIBC_TUNABLES).

    By default it hands blocks of 32 MB and more back to the system at once and takes each later one as fresh pages, which
    the system has to zero: of a step with activations of that size, as of graphs with millions of edges, that is up to half
    the time. The price is memory: blocks of many sizes leave gaps. A Luong on Multi30k takes a fifth less time and 30 %
    more memory (2.1 GB in place of 1.6 after 100 steps). Elsewhere than on glibc nothing happens.
    """
    said = [name for name in os.environ if name.startswith("MALLOC_")]
    if said or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or not _is_glibc():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)  # no block stands alone
    libc.mallopt(_M_TRIM_THRESHOLD, -1)  # and the end of the heap stays


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):  # no such call, no such name
        return False
