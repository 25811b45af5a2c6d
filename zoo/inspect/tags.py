"""What a model of tags says of texts: entities, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.text.entities import OUTSIDE, entities, is_tag
from zoo.text.words import Word, encode_words, split_words


class Found(NamedTuple):
    """An entity of a text: text[start:end] is a `kind`; share: the least of the probabilities of its words' tags."""

    text: str
    kind: str
    start: int
    end: int
    share: float


class Row(NamedTuple):
    """Words of a text that a model reads at once.

    words: they. ids: their tokens, between those that begin and end a text. places: where each word's first stands, -1: none.
    """

    words: list[Word]
    ids: list[int]
    places: list[int]


def check_tags(model: Any) -> tuple[str, ...]:
    """The names of a model's tags. Raises: ZooError for a model that gives no tags of words."""
    names = tuple(model.classes or ())
    if not (model.num_classes and getattr(model, "per_token", False)) or len(names) != model.num_classes:
        raise ZooError(f"This {type(model).__name__} has no names of tags for each token: it was not trained on tags.")
    if OUTSIDE not in names or not all(map(is_tag, names)):
        raise ZooError(
            f"The model's classes ({', '.join(names[:3])[:60]}) are no tags of words: O, and B- and I- with a kind, as B-PER."
        )
    return names


def rows_of(model: Any, text: str) -> list[Row]:
    """A text in rows that fit the model, cut between words.

    Raises: ZooError for a text without a word.
    """
    tokenizer, found = model.tokenizer, list[Row]()
    before, after = ([id] if id is not None else [] for id in (tokenizer.bos, tokenizer.eos))
    room = model.context - len(before) - len(after)
    if not (words := split_words(text)):
        raise ZooError("the text has no word; give it some.")
    if room < 1:
        raise ZooError(f"The model's context of {model.context} tokens has no room for a word.")
    pieces = encode_words(tokenizer, [word.text for word in words])
    cuts = [*pieces.places, len(pieces.ids)]  # where a row may begin
    for i in reversed(range(len(words))):
        cuts[i] = cuts[i + 1] if cuts[i] < 0 else cuts[i]
    cuts[0] = first = 0
    while first < len(words):
        last = first + 1  # at least one, of a longer word what there is room for
        while last < len(words) and cuts[last + 1] - cuts[first] <= room:
            last += 1
        ids = pieces.ids[cuts[first] : min(cuts[last], cuts[first] + room)]
        at = len(before) - cuts[first]
        places = [place + at if place >= 0 else -1 for place in pieces.places[first:last]]
        found.append(Row(words[first:last], before + ids + after, places))
        first = last
    return found


@torch.no_grad()
def logits_of(model: Any, rows: Sequence[Row]) -> Iterator[Tensor]:
    """[N, C] of each row, on the CPU, in one batch."""
    ids = torch.zeros(len(rows), max(len(row.ids) for row in rows), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)], mask[i, : len(row.ids)] = torch.tensor(row.ids), True
    device = next(model.parameters()).device
    out = model.eval().forward(ids.to(device), mask.to(device)).float().cpu()
    return (out[i, : len(row.ids)] for i, row in enumerate(rows))


def entities_of(model: Any, text: str, rows: Sequence[Row], logits: Sequence[Tensor]) -> list[Found]:
    """The entities of a text, in order; an I- that goes on with nothing begins one."""
    names, words, tags, shares = check_tags(model), list[Word](), list[str](), list[float]()
    for row, each in zip(rows, logits, strict=True):
        likely, said = each.softmax(-1).max(-1)
        words += row.words
        tags += [OUTSIDE if at < 0 else names[int(said[at])] for at in row.places]
        shares += [1.0 if at < 0 else float(likely[at]) for at in row.places]
    found = list[Found]()
    for kind, first, end in entities(tags):
        start, stop = words[first].start, words[end - 1].end
        found.append(Found(text[start:stop], kind, start, stop, min(shares[first:end])))
    return found


def marked(text: str, found: Sequence[Found]) -> str:
    """The text with its entities in brackets: The [assert CODE] statement."""
    parts, at = list[str](), 0
    for each in found:
        parts += [text[at : each.start], f"[{each.text} {each.kind}]"]
        at = each.end
    return "".join([*parts, text[at:]])
