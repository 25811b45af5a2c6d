"""Say sentences as a model of pairs does, a file of any length too, and draw where it looks meanwhile.

    python -m zoo translate runs/<a run> "Ein Mann fährt Rad."        the translation; alignment-Ein-Mann-fährt-Rad.png
    python -m zoo translate runs/<a run> "Ein Mann." "Ein Hund." --num-beams 5 --out figures
    python -m zoo translate runs/<a run> --file in.txt --out out.txt --num-beams 5 --batch-size 64
    python -m zoo translate runs/<a run> "abc" --temperature 1 --seed 3 --layer 0 --head 2

Of a file each line is one sentence, and line n of what is written is the translation of line n; an empty line stays empty. The
options are those of zoo.translate, with its defaults. The figure has the source's tokens below and those said at the side: a
panel a layer that looks at the source, the mean of its heads. A model without attention has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from zoo.cli import _decoding
from zoo.cli._figures import check_out, figures
from zoo.errors import ZooError, answering, one_line, printable

SHOWN = 5  # numbers of empty lines that are told


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which sentences, and how."""
    from zoo.cli.predict.texts import head

    parser.add_argument("run", metavar="RUN", help="a name of a zoo, a run's folder, or what else zoo.load reads")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a sentence, or several")
    parser.add_argument("--file", metavar="TXT", help="a file with a sentence a line, in place of TEXT")
    parser.add_argument(
        "--out", metavar="PATH", help="of --file the translations (else printed); of TEXT the figure, or its folder"
    )
    parser.add_argument("--batch-size", type=int, help="sentences of a file at once (32)")
    _decoding.add(parser, _decoding.OPTIONS, max_new_tokens="twice the tokens of the sentence, and 10", temperature="0")
    parser.add_argument("--layer", type=int, help="of the figure: the layer, from 0 (every one that looks)")
    parser.add_argument("--head", type=head, help="of the figure: the head, from 0 (mean)")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that RUN's config may name",
    )
    parser.set_defaults(rest="texts")


def run(options: argparse.Namespace) -> None:
    """Print the translations and draw, or write a file of them."""
    import zoo
    from zoo.generation.translations import check_pairs

    _check(options)
    model = zoo.load(options.run, trust=options.trust)
    check_pairs(model)
    how = _decoding.chosen(options, _decoding.OPTIONS)
    if options.file is not None:
        return _file(model, options, how)
    _sentences(model, options, how)


def _check(options: argparse.Namespace) -> None:
    """Raises: ZooError for what does not go together, before the model is read."""
    if bool(options.texts) == (options.file is not None):
        what = "several sources: TEXT and --file" if options.texts else "nothing to translate"
        raise ZooError(f"That is {what}; give a sentence, or --file in.txt with a sentence a line.")
    if options.file is None:
        if options.batch_size is not None:
            raise ZooError(f"--batch-size {options.batch_size} is for --file; leave it out.")
        return check_out(options.texts, options.out)
    for name in ("layer", "head"):
        if (value := getattr(options, name)) is not None:
            raise ZooError(f"--{name} {value} is for a figure, and --file draws none; leave it out.")
    file, out = Path(options.file), Path(options.out or "")
    if not file.is_file():
        raise ZooError(f"There is no file {one_line(file, 300)!r}; give one with a sentence a line.")
    if options.out is not None and (out.is_dir() or (out.exists() and out.samefile(file))):
        what = "is a folder" if out.is_dir() else "is the file that is read"
        raise ZooError(f"--out {out} {what}; name a file for the translations.")


def _sentences(model: Any, options: argparse.Namespace, how: dict[str, Any]) -> None:
    from zoo.cli.predict.texts import name
    from zoo.generation.translations import translations
    from zoo.inspect.alignment import Panel, align, looking, plot_alignments
    from zoo.inspect.tokens import choose

    try:
        layers, none = len(looking(model)), ""
    except ZooError as error:  # it has no attention, which is no fault
        layers, none = 0, str(error)
        if options.layer is not None or options.head is not None:
            raise
    if options.layer is not None and not 0 <= options.layer < layers:
        raise ZooError(f"--layer {options.layer} is not there: 0 to {layers - 1} look at the source.")
    shown = range(layers) if options.layer is None else [options.layer]
    pngs = figures("alignment", [name(text) for text in options.texts], options.out)
    with answering(f"the model of {options.run}"):
        for text, png, made in zip(options.texts, pngs, translations(model, options.texts, **how), strict=True):
            panels = []
            if layers and made.ids and made.source:
                (found,) = align(model, [made.source], [made.ids])
                head = "mean" if options.head is None else options.head
                for layer in shown:
                    for title, weights in choose(found.weights, layer, head).items():
                        one = layers == 1 and len(found.weights[layer]) == 1
                        panels.append(Panel("" if one else title, found.source, found.target, weights))
            _print(made.text)
            if panels:
                print(printable(str(plot_alignments(panels, png, one_line(text, 200)).absolute())))
    if none:
        print(none, file=sys.stderr)


def _file(model: Any, options: argparse.Namespace, how: dict[str, Any]) -> None:
    from zoo.generation.translations import BATCH, translations

    file, empty, written = Path(options.file), list[int](), 0
    size = BATCH if options.batch_size is None else options.batch_size
    with answering(str(file)), _writing(options.out) as out:
        for made in translations(model, _lines(model, file, empty), batch_size=size, **how):
            line = " ".join(made.text.splitlines())  # line n stays line n
            print(line, file=out) if out is not None else _print(line)
            written += 1
        if not written:
            raise ZooError(f"{file} is empty: there is nothing to translate; give a file with a sentence a line.")
    if out is not None:
        print(printable(f"{Path(options.out).absolute()}: {written:,} lines"))
    if empty:
        shown = ", ".join(f"{n:,}" for n in empty[:SHOWN]) + (", ..." if len(empty) > SHOWN else "")
        print(f"{len(empty):,} empty, and left so: line {shown}", file=sys.stderr)


def _lines(model: Any, file: Path, empty: list[int]) -> Iterator[str]:
    """The sentences of a file as they are asked for. Raises: ZooError for one that is no text or no tokens, by its number."""
    from zoo.cli.predict.many.texts import lines, text_of
    from zoo.generation.translations import source_ids

    for number, line in enumerate(lines(file), 1):
        try:
            text = text_of(line, ".txt") if line.strip(b"\xef\xbb\xbf \t") else ""
            ids = source_ids(model, text)
        except ZooError as error:
            raise ZooError(f"{file}, line {number:,}: {error}") from None
        if not ids:
            empty.append(number)
        yield text


@contextmanager
def _writing(target: str | None) -> Iterator[TextIO | None]:
    """A file that is there when all is done, or not at all; None where there is none to write."""
    from zoo.files import replacing

    if target is None:
        yield None
        return
    with replacing(Path(target)) as beside, open(beside, "w", encoding="utf-8", newline="\n") as out:
        yield out


def _print(text: str) -> None:
    """Without what a terminal would obey, in letters that it has."""
    encoding = sys.stdout.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding))
