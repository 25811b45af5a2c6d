"""Files of lines, plain or .gz, and what is told where they are none."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import ZooError, one_line


def read_lines(path: Path) -> list[str]:
    """The lines of a file of UTF-8, without what ends them; of a .gz what it holds.

    Raises: ZooError for a file that is not there, is broken, or is no UTF-8 (the number of the line).
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            whole: bytes = file.read()
    except FileNotFoundError:
        raise ZooError(f"There is no file {path}.") from None
    except (OSError, EOFError, zlib.error) as error:  # a .gz that is cut off, or none
        raise ZooError(f"{path} cannot be read ({one_line(error, 100)}); copy it again.") from error
    try:
        text = whole.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise ZooError(
            f"{path} is no UTF-8: line {line} has byte 0x{whole[error.start]:02x}; save it as UTF-8."
        ) from None
    lines = text.split("\n")  # not splitlines: other signs that end a line stand within sentences
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_both(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """The lines of two files, line n of one for line n of the other. Raises: ZooError for two numbers of lines."""
    read, said = read_lines(source), read_lines(target)
    if len(read) != len(said):
        raise ZooError(
            f"{source} has {len(read):,} lines and {target} has {len(said):,}: line n of one is said for line n of the other; "
            "mend the one where lines are missing."
        )
    return read, said


def check_filled(lines: Sequence[Sequence[str]], name: str) -> None:
    """Raise ZooError where a line is empty on a side, with the numbers of the lines."""
    empty = [i for i, pair in enumerate(zip(*lines, strict=True), 1) if not all(side.strip() for side in pair)]
    if empty:
        shown = ", ".join(map(str, empty[:5])) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        what = f"line {shown} has an empty side" if len(empty) == 1 else f"lines {shown} have an empty side"
        raise ZooError(f"{name}: {what}; remove these pairs.")
