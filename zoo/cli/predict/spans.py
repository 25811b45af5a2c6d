"""What a model answers to a question about a text: `predict RUN "Where was she born?" --context life.txt`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.console import table
from zoo.errors import ZooError, one_line

if TYPE_CHECKING:
    from zoo.inspect.answers import Answered

TOP = 3
BESIDE = 40  # characters that are shown on each side of an answer
LARGEST = 1 << 24  # bytes of a context


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> None:
    """Print the answers and their places, draw the attention of the window that holds the best."""
    from zoo.inspect.answers import answer, reading

    context = read_context(options.context, options.run)
    found = answer(model, source, context, reading(model, card_of(options.run)), options.top or TOP)
    file = _draw(model, found, options, png)  # before anything is told
    rows = [
        (
            each.text,
            f"{100 * each.probability:.1f} %",
            place(context, each.start, each.end),
            shown(context, each.start, each.end),
        )
        for each in found.answers
    ]
    table(rows, one_line(source, 200), ("", "probability", "place", f"in {Path(options.context).name}"))
    print(file.absolute())


def read_context(file: str | None, run: str) -> str:
    """The text of --context. Raises: ZooError where none is named, and for a file that is not there, too large, or no UTF-8."""
    if file is None:
        raise ZooError(f"{run} answers questions about a text, and none was given; name its file: --context text.txt.")
    path = Path(file)
    if not path.is_file():
        raise ZooError(f"--context {one_line(file, 200)} is not a file; name a text of UTF-8.")
    if path.stat().st_size > LARGEST:
        raise ZooError(f"--context {file} has more than {LARGEST:,} bytes; give the part that the question is about.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZooError(
            f"--context {file} is no UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from None
    if not text.strip():
        raise ZooError(f"--context {file} is empty; give a text that answers the question.")
    return text


def card_of(run: str) -> Any:
    """The card of a run's model; None where it has none."""
    from zoo import catalog

    return catalog.card_of(run)


def place(context: str, start: int, end: int) -> str:
    """Characters and line of a stretch."""
    return f"characters {start:,} to {end:,}, line {context.count(chr(10), 0, start) + 1:,}"


def shown(context: str, start: int, end: int) -> str:
    """A stretch in brackets, with what stands beside it."""
    before, after = context[max(start - BESIDE, 0) : start], context[end : end + BESIDE]
    left, right = "..." if start > BESIDE else "", "..." if end + BESIDE < len(context) else ""
    inner = f"{before}[{context[start:end]}]{after}"
    return f"{left}{' '.join(inner.split())}{right}"


def _draw(model: Any, found: Answered, options: argparse.Namespace, png: Path) -> Path:
    from zoo.inspect.tokens import TOKENS, choose, plot_tokens, read

    best, cut = found.answers[0], found.windows
    row = int(cut.row[best.first])
    ids = cut.rows[row].tolist()
    segments = [0] * cut.before + [1] * (len(ids) - cut.before)
    maps = choose(read(model, ids, segments).weights, options.layer, options.head)
    first = int(cut.column[best.first])
    last = min(first + best.last - best.first, len(ids) - 1)
    keep = around(len(ids), cut.before, first, last, TOKENS)
    names = [model.tokenizer.token(ids[i]) for i in keep]
    where = f"the answer: {one_line(best.text, 40)}"
    if len(keep) < len(ids):
        where += f"; {len(keep)} of the {len(ids)} tokens of its window, those of the question and around it"
    return plot_tokens({title: each[keep][:, keep] for title, each in maps.items()}, names, png, note=where)


def around(n: int, before: int, first: int, last: int, most: int) -> list[int]:
    """Of the n tokens of a row `most`: those before the context (of many the last), and those around the answer."""
    if n <= most:
        return list(range(n))
    head = list(range(before))[-(most // 2) :]
    room = min(most - len(head), n - before)
    begin = max(min((first + last + 1 - room) // 2, n - room), before)
    return [*head, *range(begin, begin + room)]
