"""Files of JSON, an object a line: read line by line, and what is wrong told by the numbers of its lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from datamodules.text.corpus import FileText
from zoo.errors import ZooError, listed, one_line

Made = TypeVar("Made")


def read_lines(path: Path, make: Callable[[Any], Made], what: str, form: str) -> list[Made]:
    """What `make` makes of the value of each line; empty lines are passed over.

    Args:
        make: raises ValueError for a value that is none of those wanted, saying why.
        what: a line has: "conversation".
        form: how such a line looks, for errors.

    Raises: ZooError where lines are no JSON or not of that form (their numbers, why the first), and where there is none.
    """
    if not path.is_file():
        raise ZooError(f"data.path={path} is no file.")
    found, wrong = [], []
    for number, line in enumerate("".join(FileText(path).pieces()).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(make(_parsed(line)))
        except ValueError as error:
            wrong.append((number, one_line(error, 120)))
    if wrong:
        raise ZooError(f"{path}: {listed([number for number, _ in wrong])} no {what} ({wrong[0][1]}); one is {form}.")
    if not found:
        raise ZooError(f"{path} has no {what}; give it some, one JSON object a line.")
    return found


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None


def text_of(line: Any, key: str) -> str:
    """The text under a key. Raises: ValueError for what is no object, a key that is missing or holds something else."""
    if not isinstance(line, dict):
        raise ValueError(f"it is a {type(line).__name__}")
    value = line.get(key)
    if not isinstance(value, str):
        raise ValueError(f"it has no {key!r}" if key not in line else f"its {key!r} is no text")
    return value
