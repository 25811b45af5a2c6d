"""What a model answers to a question about a text: the best stretches of it, and where the model looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.language.spans import best_span, span_logits
from zoo.text.base import Located
from zoo.text.spans import Windows, room_for, stacked, windows

ROWS = 16  # windows that are read at once


@dataclass(frozen=True)
class Reading:
    """How a model reads long texts and how long its answers are, as in its training.

    size: tokens of a row. stride: from the start of a window to that of the next; None: half of one. longest: tokens of an
    answer, at most.
    """

    size: int
    stride: int | None = None
    longest: int = 30


class Answer(NamedTuple):
    """text: context[start:end]. probability: of its beginning times that of its end, over the whole context. first, last: its
    tokens there."""

    text: str
    start: int
    end: int
    probability: float
    first: int
    last: int


class Answered(NamedTuple):
    """answers: the likeliest first, no two of them overlapping. windows: the rows that were read. located: the context's
    tokens."""

    answers: list[Answer]
    windows: Windows
    located: Located


def reading(model: Any, card: Any) -> Reading:
    """As a model was trained, by its card; the usual where nobody has told, or tells what cannot be."""
    told = card or {}
    data, task = (told.get("data") or {}).get("config") or {}, told.get("task_config") or {}

    def number(settings: Any, key: str, usual: Any) -> Any:
        value = settings.get(key)
        return value if type(value) is int and 0 < value <= model.context else usual

    size = number(data, "context", model.context)
    return Reading(size, number(data, "stride", None), number(task, "max_answer_length", Reading.longest))


@torch.no_grad()
def answer(model: Any, question: str, context: str, how: Reading, top: int = 1) -> Answered:
    """The likeliest answers.

    Args:
        model: gives two numbers a token, and has its tokenizer.
        top: how many at most.

    Raises: ZooError for an empty context, a question that leaves no room for one beside it, and numbers that are none.
    """
    tokenizer = model.tokenizer
    asked, located = tokenizer.encode(question), tokenizer.located(context)
    if not len(located.ids):
        raise ZooError("the context is empty; give a text that answers the question.")
    if tokenizer.eos is None:
        raise ZooError("the tokenizer has no token that ends a text, to stand between a question and its context.")
    if (room := room_for(tokenizer, asked, how.size)) < max(1, how.size // 4):
        raise ZooError(
            f"the question has {len(asked):,} tokens, which leaves {max(room, 0)} of the {how.size} of a row for the context; "
            "ask a shorter one."
        )
    cut = windows(tokenizer, asked, located.ids, how.size, how.stride)
    start, end = _scores(model, cut).log_softmax(1).unbind(-1)
    found = []
    for first, last, score in best_spans(start[0], end[0], how.longest, top):
        a, b = int(located.starts[first]), int(located.ends[last])
        found.append(Answer(context[a:b], a, b, float(score.exp()), first, last))
    return Answered(found, cut, located)


def best_spans(start: Tensor, end: Tensor, limit: int, top: int) -> list[tuple[int, int, Tensor]]:
    """The best span of scores [L], then the best of what it leaves on both sides, and so on; (first, last, score)."""
    parts = [(0, len(start))]
    found: list[tuple[int, int, Tensor]] = []
    while parts and len(found) < top:
        each = [best_span(start[None, a:b], end[None, a:b], limit) for a, b in parts]
        which = max(range(len(parts)), key=lambda i: float(each[i][2]))
        (a, b), (first, last, score) = parts.pop(which), each[which]
        i, j = a + int(first), a + int(last)
        found.append((i, j, score[0]))
        parts += [(x, y) for x, y in ((a, i), (j + 1, b)) if x < y]
    return found


def _scores(model: Any, cut: Windows) -> Tensor:
    """[1, L, 2] of the tokens of the context, float64 on the CPU. Raises: ZooError where they are not finite."""
    model.eval()
    device, tokenizer = next(model.parameters()).device, model.tokenizer
    pad = next(id for id in (tokenizer.pad, tokenizer.eos) if id is not None)
    rows = {key: torch.from_numpy(value) for key, value in stacked([cut], pad).items()}
    several = getattr(model, "segments", None) is not None and model.segments.num_embeddings > 1
    names = ("ids", "mask", "segments") if several else ("ids", "mask")
    found = []
    for first in range(0, len(rows["ids"]), ROWS):
        part = [rows[name][first : first + ROWS].to(device) for name in names]
        found.append(model.forward(*part).double().cpu())
    logits = span_logits(torch.cat(found), rows["places"])
    if not logits.isfinite().all():
        raise ZooError("the model's answer is NaN or infinite.")
    return logits
