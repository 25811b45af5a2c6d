"""Files and folders that are whole or not there, whenever a process is killed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(target: Path, last: str = "") -> Iterator[Path]:
    """A path beside `target` that takes its place when the block ends well: nobody ever sees half of it.

    The block makes a file there, or a folder. Where the folder is there already it is replaced file by file, and others
    in it stay; `last` is the name of a file that tells about the others: the old one goes first, the new one comes last.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield beside
        if beside.is_dir() and target.is_dir():
            if last:
                (target / last).unlink(missing_ok=True)
            for path in sorted(beside.iterdir(), key=lambda path: path.name == last):
                os.replace(path, target / path.name)
        else:
            os.replace(beside, target)
    finally:
        with suppress(OSError):  # renamed by now, or its folder cannot be written
            shutil.rmtree(beside) if beside.is_dir() else beside.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
