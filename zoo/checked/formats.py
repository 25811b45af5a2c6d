"""Files of older formats as the newest says them: one function for each step, applied on reading."""

from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import ZooError

#: From the format in the key to the next.
Steps = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]


def newest(steps: Steps) -> int:
    """The format that the last step arrives at; 1 where there is none."""
    return max(steps, default=0) + 1


def upgraded(content: dict[str, Any], steps: Steps, where: str) -> dict[str, Any]:
    """The content of a file, step by step to the newest format; what was given stays as it is.

    Args:
        content: plain, with a whole number `format`.
        steps: a function for each format but the newest.
        where: what errors call the file.

    Raises: ZooError for a format that is newer, or none.
    """
    known, given = newest(steps), content["format"]
    if not 1 <= given <= known:
        hint = "update attention-zoo" if given > known else "copy it again"
        raise ZooError(f"{where} has format {given}, this version reads up to {known}: {hint}.")
    for step in range(given, known):
        content = {**steps[step](content), "format": step + 1}
    return content
