"""Find the verbs, read the command line, and turn a bad input into one sentence."""

import argparse
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import NoReturn

from zoo import __version__, machine
from zoo.errors import ZooError, nearest, one_line
from zoo.training.quiet import quiet


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit code: 0, or 2 for a bad input, told in one `error: ...` line on stderr.

    A verb's `run` may return another exit code, which says what came out: 1 where files were read and some were bad, or where
    figures differ. None is 0.
    """
    machine.prepare()
    try:
        quiet()
        words = list(sys.argv[1:] if argv is None else argv)
        if words and words[0] not in ("-h", "--help", "--version", *verbs()):
            raise ZooError(
                f"{words[0]!r} is not a command; {nearest(words[0], verbs())} python -m zoo --help explains them."
            )
        options = _read(words)
        return options.do(options) or 0
    except KeyboardInterrupt:
        return 130
    except SystemExit as done:  # argparse after --help
        return int(done.code or 0)
    except Exception as error:  # all that end the program
        sentence = None if _traceback_wanted() else _sentence(error)
        if sentence is None:
            raise
        print(f"error: {one_line(sentence, 4000)}", file=sys.stderr)
        return 2


def _read(words: Sequence[str]) -> argparse.Namespace:
    """The command line. Words may stand on both sides of options where a verb says which argument they belong to
    (`rest="words"`); argparse alone takes those of one side.

    Raises: ZooError for words that no argument takes.
    """
    options, rest = _parser().parse_known_args(words)
    if rest and (not hasattr(options, "rest") or any(word.startswith("-") for word in rest)):
        raise ZooError(f"unrecognized arguments: {' '.join(rest)} (python -m zoo {words[0]} --help explains.)")
    if rest:
        setattr(options, options.rest, [*getattr(options, options.rest), *rest])
    return options


def verbs() -> tuple[str, ...]:
    """The names of the verbs: the files that are there."""
    return tuple(
        sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name[0] != "_")
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ZooError(f"{message} ({self.prog} --help explains.)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m zoo", description="Look at, draw and use what is in the zoo; train.py trains it.")
    parser.add_argument("--version", action="version", version=f"attention-zoo {__version__}")
    choices = parser.add_subparsers(metavar="VERB", required=True)
    for name in verbs():
        verb = import_module(f"zoo.cli.{name}")
        words = cleandoc(verb.__doc__ or "")
        one = choices.add_parser(
            name, help=words.splitlines()[0], description=words, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        verb.arguments(one)
        one.set_defaults(do=verb.run)  # a name that no verb gives to an argument
    return parser


def _traceback_wanted() -> bool:
    # train.py sets HYDRA_FULL_ERROR for itself and keeps the user's own choice in ZOO_FULL_ERROR.
    return os.environ.get("ZOO_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0")) == "1"


def _sentence(error: Exception) -> str | None:
    if isinstance(error, ZooError):
        return str(error)
    from zoo.training.sentences import explain

    return explain(error)
