"""Go on with a text, as a language model would: printed as it comes.

    python -m zoo generate runs/<a run> "Once upon a time"
    python -m zoo generate runs/<a run> "def main(" --temperature 0 --max-new-tokens 200
    python -m zoo generate runs/<a run> "" --top-p 0.9 --seed 1 --stop "." --cache window:64
    python -m zoo generate runs/<a run> "The" --draft runs/<a smaller run>     (or --draft lookup)

The options are those of zoo.generate and model.generate, with its defaults; an empty prompt begins a text.
"""

import argparse
import sys

from zoo.cli import _decoding
from zoo.cli._decoding import Option
from zoo.config import locate
from zoo.errors import ZooError, printable

NEW = 64  # tokens, where the model's context has room for them
OPTIONS = {
    **_decoding.OPTIONS,
    "draft": Option(str, "a smaller model that proposes tokens, named as RUN is, or lookup"),
    "cache": Option(str, "full, none, window:N, sinks:S+N, heavy:H+N, int8, or a class of your own package (full)"),
    "prefill_chunk": Option(int, "read the prompt so many tokens at a time"),
}
USUAL = {"max_new_tokens": f"{NEW}, or what the model's context has room for", "temperature": "1.0"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which text, and how."""
    parser.add_argument("run", metavar="RUN", help="a name of a zoo, a run's folder, or what else zoo.load reads")
    parser.add_argument("prompt", metavar="PROMPT", help="the text to go on with")
    _decoding.add(parser, OPTIONS, **USUAL)
    parser.add_argument("--compile", action="store_true", default=None, help="compile the model's step first")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that RUN's config may name",
    )


def run(options: argparse.Namespace) -> None:
    """Print the prompt, and what follows as it comes."""
    import zoo

    model = zoo.load(options.run, trust=options.trust)
    if "text" not in model.reads:
        other = "give a run of a language model"
        if "pairs" in model.reads:
            other = f"python -m zoo translate {options.run} says one for another"
        raise ZooError(f"{options.run} is a {type(model).__name__}, which writes no text after another; {other}.")
    how = _decoding.chosen(options, OPTIONS)
    if options.compile:
        how["compile"] = True
    if how.get("draft", "lookup") != "lookup":
        how["draft"] = zoo.load(how["draft"], trust=options.trust)
    if "." in (policy := how.get("cache", "")):  # a factory of a package of one's own
        how["cache"] = locate(policy, "cache")
    if "max_new_tokens" not in how and model.tokenizer is not None:
        room = model.context + 1 - len(model.tokenizer.prompt(options.prompt))  # the last token is not read
        how["max_new_tokens"] = min(NEW, room) if room > 0 else NEW
    if how.get("num_beams", 1) > 1:
        pieces = zoo.generate(model, options.prompt, **how)
    else:
        pieces = zoo.generate(model, options.prompt, stream=True, **how)
    _write(options.prompt)  # what is refused is refused before anything is told
    for piece in pieces:
        _write(piece)
    _write("\n")
    if (kept := getattr(pieces, "acceptance", None)) is not None:
        print(f"{kept:.0%} of the tokens that the draft proposed were kept", file=sys.stderr)


def _write(text: str) -> None:
    """At once, without what a terminal would obey, in letters that it has."""
    shown, encoding = printable(text, kept="\n\t"), sys.stdout.encoding or "utf-8"
    sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
