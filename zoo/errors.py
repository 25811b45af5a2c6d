"""Errors a user can act on: what is wrong, the value, what to do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from unicodedata import bidirectional, category

#: Letters that a terminal does not show but obeys: controls, halves of pairs, ends of lines, what turns the writing around.
_OBEYED = ("Cc", "Cs", "Zl", "Zp")
MOST = 100  # options that a sentence lists
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


class ZooError(ValueError):
    """A bad input. Its text is a sentence; the command line prints it without a traceback."""


class NotAtHand(ZooError):
    """Data, or a file, that is not here and cannot be had now: nothing is wrong with what was asked."""


def one_line(text: object, most: int = 600) -> str:
    """Text of any length and origin as a part of a sentence: one line of at most `most` letters that a terminal shows."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= most else f"{line[:most]}..."


def nearest(name: str, options: Iterable[str]) -> str:
    """The clause that helps with a misspelt name: the closest option first, then all of them."""
    options = sorted(map(str, options))
    close = get_close_matches(str(name), options, n=1, cutoff=0.6)
    guess = f"did you mean {close[0]!r}? " if close else ""
    some = [one_line(each, 100) for each in options[:MOST]]
    more = [f"and {len(options) - MOST:,} more"] * (len(options) > MOST)
    return f"{guess}There are: {', '.join([*some, *more]) or 'none'}."


def printable(text: str, kept: str = "") -> str:
    """Text without what moves a terminal's cursor, colours or turns around what follows: such letters as their escapes.

    Args:
        text: of any origin.
        kept: letters that stay all the same, as a new line in a text that is shown as it is.
    """
    return "".join(c if c in kept or not _obeyed(c) else c.encode("unicode_escape").decode() for c in text)


def _obeyed(letter: str) -> bool:
    return not letter.isprintable() and (category(letter) in _OBEYED or bidirectional(letter) in _TURNING)


def too_long(path: object) -> str:
    """The sentence for a path that no file system takes (ENAMETOOLONG)."""
    return f"{one_line(path, 80)!r} has {len(str(path)):,} letters, more than a path can have; give a shorter one."


@contextmanager
def answering(where: str) -> Iterator[None]:
    """Around what is done with a file that somebody else may have written: whatever goes wrong is a sentence.

    An error that is no ZooError stays its cause, which HYDRA_FULL_ERROR=1 shows.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:  # of any library that was handed the file's words
        raise ZooError(
            f"{where}: {type(error).__name__}: {one_line(error, 300)} (HYDRA_FULL_ERROR=1 shows where.)"
        ) from error


@contextmanager
def naming(where: str) -> Iterator[None]:
    """As `answering`, and a ZooError that does not name the file does so too."""
    try:
        with answering(where):
            yield
    except ZooError as error:
        said = one_line(error, 1500)  # it may hold what stands in the file
        if where in str(error) and said == str(error):
            raise
        raise type(error)(said if where in said else f"{where}: {said}") from error.__cause__


def listed(lines: list[int], most: int = 5) -> str:
    """Lines 3, 7 and 9 have / are."""
    shown = ", ".join(map(str, lines[:most])) + (f" and {len(lines) - most} more" if len(lines) > most else "")
    return f"line {shown} has" if len(lines) == 1 else f"lines {shown} have"
