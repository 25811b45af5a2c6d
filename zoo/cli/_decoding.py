"""How tokens are chosen, as options of a command line: those that texts, translations and captions share."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Option(NamedTuple):
    """A setting of `generate`: what its word is read as, and its help."""

    type: Callable[[str], Any]
    help: str


#: By the names that `generate` has for them; `stop`, which may be given several times, is added by `add`.
OPTIONS = {
    "max_new_tokens": Option(int, "how many tokens at most"),
    "temperature": Option(float, "below 1 bolder choices are rarer; 0: always the likeliest token"),
    "top_k": Option(int, "draw from the k likeliest tokens"),
    "top_p": Option(float, "draw from the likeliest tokens that make up this share"),
    "min_p": Option(float, "draw from tokens at least this times as likely as the likeliest"),
    "repetition_penalty": Option(float, "above 1: what was there becomes less likely (1.0)"),
    "seed": Option(int, "the same seed draws the same text"),
    "num_beams": Option(int, "search with so many beams; with --temperature 0 (1)"),
    "length_penalty": Option(float, "of beams: above 0 favours longer texts (1.0)"),
}


def add(parser: Any, options: Mapping[str, Option], **usual: str) -> None:
    """Declare options of a parser, or a group of it, and --stop; usual: what is taken where one is not given, for its help."""
    for name, (kind, words) in options.items():
        said = f"{words} ({usual[name]})" if name in usual else words
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind, help=said)
    parser.add_argument(
        "--stop", action="append", help="a text that ends it; several times for several; '': only length"
    )


def chosen(options: argparse.Namespace, names: Mapping[str, Option]) -> dict[str, Any]:
    """Arguments of `generate`: what was given, nothing else."""
    how = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.stop is not None:
        how["stop"] = [each for each in options.stop if each]
    return how
