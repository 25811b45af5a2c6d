"""A bar on the terminal for what takes a while to fetch; nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUICK = 20_000_000  # bytes that are there before one has read a bar


@contextmanager
def bar(name: str, size: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """What to call with how many bytes of a file are there.

    Args:
        size: bytes of the file, or None.
        done: bytes that are there already.
    """
    from rich.console import Console

    terminal = Console(stderr=True)
    if not terminal.is_terminal or (size is not None and size - done < QUICK):
        yield lambda there: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True) as shown:
        task = shown.add_task(name, total=size, completed=done)
        yield lambda there: shown.update(task, completed=there)
