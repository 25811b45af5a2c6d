"""Whatever goes wrong: a user's mistake ends as one sentence and exit code 2, ours as a traceback and 1."""

import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from zoo.conf import folder
from zoo.errors import ZooError, nearest, one_line, too_long
from zoo.training.ranks import rank


@contextmanager
def sentences() -> Iterator[None]:
    """Print a bad input as `error: ...` on stderr and exit; HYDRA_FULL_ERROR=1 set by the user shows tracebacks.

    Used around Hydra, for what it raises while it composes, and around the run inside it, because Hydra prints a line
    of its own about every exception that passes it.
    """
    # With this variable Hydra hands exceptions on, instead of printing them its own way. Child processes inherit it, so
    # what the user wanted is kept in another one.
    asked = os.environ.setdefault("ZOO_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0")) == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except KeyboardInterrupt as error:
        print(f"interrupted; {error}" if str(error) else "interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # all that end the program
        _to_log_file(error)
        if asked:
            raise
        sentence = explain(error)
        if sentence is None:
            traceback.print_exc()
            sys.exit(1)
        _end(sentence, 2)


def explain(error: BaseException) -> str | None:
    """The sentence for a user's mistake; None if it is not known to be one."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return too_long(error.filename)
    from hydra.errors import (
        ConfigCompositionException,
        InstantiationException,
        MissingConfigException,
        OverrideParseException,
    )
    from omegaconf.errors import OmegaConfBaseException

    for cause in _chain(error):
        if isinstance(cause, ZooError):
            return str(cause)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={name} is unknown; {nearest(name, error.options)}"
    if isinstance(error, OverrideParseException):
        why = str(error).splitlines()[1]
        return f"{error.override!r} cannot be read as key=value ({why}); quote special characters."
    if isinstance(error, ConfigCompositionException):
        wrong = error.__cause__
        if isinstance(wrong, OmegaConfBaseException) and wrong.parent_node is not None:
            name = str(wrong.full_key)
            keys = set(map(str, wrong.parent_node)) - {"hydra"} | (set() if "." in name else _groups())
            return (
                f"{name} is not a key of this config; {nearest(str(wrong.key), keys)} "
                f"(Settings that the config does not list are added with +{name}=...)"
            )
        if match := re.search(r"Could not override '([^']+)'", str(error)):
            return _no_choice(match[1])
        return " ".join(str(error).split())
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return "A group= takes the name of one of its choices, not null; to leave a group out, delete it: ~logger."
    if isinstance(error, InstantiationException) or type(error).__name__ == "MisconfigurationException":
        # Lightning's own refusals are sentences already.
        return " ".join(str(error.__cause__ or error).split()) + " (HYDRA_FULL_ERROR=1 shows where.)"
    return None


def _no_choice(group: str) -> str:
    if group in _groups():
        return f"{group}= cannot be chosen for this model; leave it out, or take another model."
    return f"{group} is neither a group nor a key of this config; {nearest(group, _groups())}"


def _groups() -> set[str]:
    return {path.name for path in folder().iterdir() if path.is_dir() and path.name != "hydra"}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _to_log_file(error: BaseException) -> None:
    """The whole traceback goes to the run's train.log, whatever the terminal shows (docs/criteria.md, A4)."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            where = (type(error), error, error.__traceback__)
            handler.handle(logging.LogRecord("train", logging.ERROR, __file__, 0, "The run failed", (), where))
            handler.flush()


def _end(sentence: str, code: int) -> None:
    # Other ranks mostly fail for the same reason; where not, it must be seen whose error it is.
    print(f"error{f' (rank {rank()})' if rank() else ''}: {one_line(sentence, 4000)}", file=sys.stderr)
    sys.exit(code)
