"""The terminal without what a panic of the tokenizers library writes to it by itself, before it is an exception."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_alone = threading.RLock()  # the terminal is the process's: of two at once, one would keep the other's silence


@contextmanager
def silent() -> Iterator[None]:
    """Nothing that is written to the process's standard error comes out; where it has none, nothing is done."""
    with _alone:
        try:
            kept = os.dup(2)
        except OSError:
            kept = None
        if kept is None:
            yield
            return
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
