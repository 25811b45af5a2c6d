"""Answers to many inputs as one table: `predict NAME FOLDER|FILE ... --to out.csv` (or .jsonl).

Inputs are read, answered in batches and written one after the other: memory holds a batch. One that cannot be read is a row
with its reason, and the others go on; the file is there when all is done, or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from zoo.cli import _decoding
from zoo.cli.predict.many.table import Row, check_not_read, check_target, writing
from zoo.errors import ZooError, answering, one_line, printable

#: What draws or chooses a figure, of which there is none here, or is of one input.
FIGURES = ("out", "node", "layer", "head", "data", "context")
#: How a caption is chosen; a table's are greedy.
DECODING = (*_decoding.OPTIONS, "stop")


class Entry(NamedTuple):
    """One input: what the table calls it, and what its model takes, or why it cannot be read."""

    name: str
    item: Any = None
    error: str | None = None


def found(source: str, ends: Sequence[str]) -> list[Path]:
    """The file, or those of a folder and its folders, whose names end so; none is an empty list."""
    path = Path(source)
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [each for each in inside if each.is_file() and each.name.lower().endswith(tuple(ends))]


def predict_many(model: Any, reader: str, options: argparse.Namespace) -> int:
    """Write the table. Returns the exit code: 1 where an input could not be read, else 0.

    Args:
        model: that answers.
        reader: the file here that knows its inputs, which has
            BATCH                            inputs that are answered at once
            files(source)                    the files of a file or folder, refused where it is none
            ENDS                             of those of a folder, where a table of answers may be one
            entries(model, file, run)        the inputs in a file, as they are read
            columns(model, top)              what the table says of each
            answers(model, items, top)       for each item its rows, by these columns
    """
    target, read = check_options(options), import_module(f"zoo.cli.predict.many.{reader}")
    files = [file for source in options.inputs for file in read.files(source)]
    check_not_read(target, options.inputs, files, getattr(read, "ENDS", ()))
    entries = (entry for file in files for entry in of_file(read, model, file, options.run))
    good, bad, reason = 0, 0, ""
    with writing(target, ["input", *read.columns(model, options.top), "error"]) as write:
        while batch := list(islice(entries, read.BATCH)):
            for entry, rows in answered(read, model, batch, options.top):
                for row in rows if entry.error is None else [{"error": one_line(entry.error)}]:
                    write({"input": entry.name, **row})
                good, bad = good + (entry.error is None), bad + (entry.error is not None)
                reason = one_line(entry.error or "")
    print(printable(str(target.absolute())))
    if bad and good + bad == 1:
        print(printable(f"The input could not be read: {reason}"))
    elif bad:
        print(f"{bad:,} of {good + bad:,} inputs could not be read; the column `error` says why.")
    return int(bad > 0)


def check_options(options: argparse.Namespace) -> Path:
    """The file of --to. Raises: ZooError for one that is no table, or an option of figures, which --to does not draw."""
    for name in FIGURES:
        if getattr(options, name, None) is not None:
            why = "one question" if name == "context" else "a figure, and --to draws none"
            raise ZooError(f"--{name} {getattr(options, name)} is for {why}; leave it out.")
    for name in DECODING:
        if getattr(options, name, None) is not None:
            raise ZooError(
                f"--{name.replace('_', '-')} {getattr(options, name)}: with --to captions are said greedily; leave it out."
            )
    return check_target(options.to)


def of_file(read: Any, model: Any, file: Path, run: str) -> Iterator[Entry]:
    """The inputs in a file; where it cannot be opened, or breaks off, one that says so."""
    try:
        with answering(str(file)):
            yield from read.entries(model, file, run)
    except ZooError as error:
        yield Entry(str(file), error=str(error))


def answered(read: Any, model: Any, batch: Sequence[Entry], top: int | None) -> Iterable[tuple[Entry, Sequence[Row]]]:
    """Each entry with its rows, in order; where a batch is refused, each of it is asked alone."""
    whole = [entry for entry in batch if entry.error is None]
    try:
        with answering("these inputs"):
            found = iter(list(read.answers(model, [entry.item for entry in whole], top)) if whole else [])
        return [(entry, next(found) if entry.error is None else []) for entry in batch]
    except ZooError as error:
        if len(batch) == 1:
            return [(batch[0]._replace(error=str(error)), [])]
        return [pair for entry in batch for pair in answered(read, model, [entry], top)]
