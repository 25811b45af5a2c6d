"""Errors a user can act on: what is wrong, the value, what to do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class ZooError(ValueError):
    """A bad input. Its text is a sentence; the command line prints it without a traceback."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The clause that helps with a misspelt name: the closest option first, then all of them."""
    options = sorted(map(str, options))
    close = get_close_matches(str(name), options, n=1, cutoff=0.6)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}There are: {', '.join(options) or 'none'}."


def printable(text: str) -> str:
    """Text without what moves a terminal's cursor or colours it: such letters as their escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def answering(where: str) -> Iterator[None]:
    """Around what is done with a file that somebody else may have written: whatever goes wrong is a sentence.

    An error that is no ZooError stays its cause, which HYDRA_FULL_ERROR=1 shows.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:300]
        raise ZooError(f"{where}: {type(error).__name__}: {what} (HYDRA_FULL_ERROR=1 shows where.)") from error


@contextmanager
def naming(where: str) -> Iterator[None]:
    """As `answering`, and a ZooError that does not name the file does so too."""
    try:
        with answering(where):
            yield
    except ZooError as error:
        if where in str(error):
            raise
        raise ZooError(f"{where}: {error}") from error.__cause__
