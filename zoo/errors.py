"""Errors a user can act on: what is wrong, the value, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(ValueError):
    """A bad input. Its text is a sentence; the command line prints it without a traceback."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The clause that helps with a misspelt name: the closest option first, then all of them."""
    options = sorted(map(str, options))
    close = get_close_matches(str(name), options, n=1, cutoff=0.6)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}There are: {', '.join(options) or 'none'}."
