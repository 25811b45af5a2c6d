"""Many texts: a line of a .txt is one, or of a .jsonl a string or an object with "text"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.cli.predict.many import Entry, found
from zoo.cli.predict.many.table import Row, class_columns, class_rows, ranked, rounded
from zoo.cli.predict.texts import check, encode, of_tokens
from zoo.errors import ZooError

BATCH = 32
TOP = 5
ENDS = (".txt", ".jsonl")
LONGEST = 1 << 20  # bytes of a line


def files(source: str) -> list[Path]:
    """Raises: ZooError for what is no file of lines, and no folder with such."""
    if not (these := found(source, ENDS)):
        raise ZooError(f"{source} is not there, or no .txt or .jsonl file or folder of such: --to takes a text a line.")
    return these


def entries(model: Any, file: Path, run: str) -> Iterator[Entry]:
    """A text a line, as ids."""
    check(model, str(file), run)
    for number, line in enumerate(lines(file), 1):
        name = f"{file}:{number}"
        try:
            text = text_of(line, file.suffix.lower())
            yield Entry(name, text if of_tokens(model) else encode(model, text))
        except ZooError as error:
            yield Entry(name, error=str(error))


def lines(file: Path) -> Iterator[bytes]:
    """The lines without their ends; of one that is too long LONGEST + 1 bytes, the rest passed over."""
    with open(file, "rb") as opened:
        while line := opened.readline(LONGEST + 1):
            rest = line
            while len(rest) > LONGEST and not rest.endswith(b"\n"):
                rest = opened.readline(LONGEST + 1)
            yield line.rstrip(b"\r\n") if len(line) <= LONGEST else line


def text_of(line: bytes, end: str) -> str:
    """Raises: ZooError for a line that is too long, empty, no UTF-8, or of a .jsonl holds no text."""
    if len(line) > LONGEST:
        raise ZooError(f"the line is longer than {LONGEST:,} bytes; split it.")
    try:
        text = line.decode("utf-8-sig")
        found = json.loads(text) if end == ".jsonl" and text.strip() else text
    except UnicodeDecodeError as error:
        raise ZooError(f"the line is no UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except (ValueError, RecursionError):
        raise ZooError('the line is no JSON; give "a text", or {"text": "a text"}.') from None
    found = found.get("text") if isinstance(found, dict) else found
    if not isinstance(found, str):
        raise ZooError('the line holds no text; give "a text", or {"text": "a text"}.')
    if not found.strip():
        raise ZooError("the line is empty; give a text.")
    return found


def columns(model: Any, top: int | None) -> list[str]:
    """Classes; of a model without them tokens, which of a masked one stand for the mask of a number."""
    if says := of_tokens(model):
        return import_module(f"zoo.cli.predict.many.{says}").columns(model, top)
    if model.num_classes:
        return class_columns(model, top or TOP)
    return [
        *["mask"] * (model.objective == "masked"),
        *ranked(("token", "probability"), min(top or TOP, model.vocab_size)),
    ]


def answers(model: Any, items: Sequence[Any], top: int | None) -> list[list[Row]]:
    """A row a text; of a masked model a row a mask, of one of tags a row an entity."""
    import torch

    if says := of_tokens(model):
        return import_module(f"zoo.cli.predict.many.{says}").answers(model, items, top)
    ids = torch.zeros(len(items), max(map(len, items)), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, item in enumerate(items):
        ids[row, : len(item)], mask[row, : len(item)] = torch.tensor(item), True
    device = next(model.parameters()).device
    ids, mask = ids.to(device), mask.to(device)
    with torch.no_grad():
        if model.num_classes:
            return [[row] for row in class_rows(model, model.forward(ids, mask).float().cpu(), top or TOP)]
        hidden = model.objective == "masked"
        at = (ids == model.tokenizer.mask) & mask if hidden else mask & (mask.cumsum(1) == mask.sum(1, keepdim=True))
        # Behind a tokenizer's tokens a model may have room for more.
        logits = model.forward(ids, mask, at=at.flatten().nonzero()[:, 0])[:, : model.tokenizer.vocab_size]
    if not logits.isfinite().all():
        raise ZooError("the model's answer is NaN or infinite")
    found = iter(tokens(model, logits.float().softmax(-1).cpu(), top or TOP))
    counts = at.sum(1).tolist()
    return [[{"mask": i, **next(found)} if hidden else next(found) for i in range(count)] for count in counts]


def tokens(model: Any, shares: Any, top: int) -> list[Row]:
    """The likeliest of each row."""
    values, places = shares.topk(min(top, shares.shape[-1]))
    names = ranked(("token", "probability"), values.shape[-1])
    token = model.tokenizer.token
    pairs = zip(values.tolist(), places.tolist(), strict=True)
    return [
        dict(zip(names, [said for p, i in zip(*pair, strict=True) for said in (token(i), rounded(p))], strict=True))
        for pair in pairs
    ]
