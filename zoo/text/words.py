"""Words of a text, and the tokens of each: a tag is of a word, and stands at the first of its tokens."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from zoo.text.base import Tokenizer

#: What stands at the end of a sentence or a quotation, and is a word by itself there; and at the beginning of one.
ENDS, BEGINS = ".,;:!?”’»…", "“‘«"
BRACKETS = {"(": ")", "[": "]", "{": "}"}


class Word(NamedTuple):
    """A word and where it stands: text[start:end]."""

    text: str
    start: int
    end: int


class Pieces(NamedTuple):
    """The tokens of words, one after another.

    ids: of all. places: of each word, the index in ids of its first token; -1 of a word that the tokenizer makes nothing of.
    """

    ids: list[int]
    places: list[int]


def split_words(text: str) -> list[Word]:
    """The words of a text: what stands between spaces, without the punctuation around it, which is words too.

    Brackets stay with a word that has both: `f(x),` is `f(x)` and `,`, but `(f(x))` is `(`, `f(x)` and `)`.
    """
    found = list[Word]()
    for chunk in re.finditer(r"\S+", text):
        first, end = _core(chunk.group())
        at = [*range(first), first, *range(end, len(chunk.group())), len(chunk.group())]
        base = chunk.start()
        found += [Word(text[base + i : base + j], base + i, base + j) for i, j in pairwise(at)]
    return found


def _core(chunk: str) -> tuple[int, int]:
    """The part of what stands between spaces that is no punctuation around it; at least one character."""
    first, end = 0, len(chunk)
    while end - first > 1:
        inside, left, right = chunk[first:end], chunk[first], chunk[end - 1]
        if right in ENDS or (right in BRACKETS.values() and not _closes(inside[:-1], right)):
            end -= 1
        elif left in BEGINS or (left in BRACKETS and _open(inside[1:], left) >= 0):
            first += 1
        elif left in BRACKETS and right == BRACKETS[left] and _around(inside):
            first, end = first + 1, end - 1
            if first == end:  # "()" is a word
                return first - 1, end + 1
        else:
            break
    return first, end


def _closes(text: str, bracket: str) -> bool:
    """Whether a bracket of this kind behind a text closes one in it."""
    opens = next(left for left, right in BRACKETS.items() if right == bracket)
    return text.count(opens) > text.count(bracket)


def _open(text: str, bracket: str) -> int:
    """How many brackets of this kind a text opens and does not close; below 0 where it closes one before it."""
    return text.count(bracket) - text.count(BRACKETS[bracket])


def _around(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last character and none before."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == text[0]) - (letter == BRACKETS[text[0]])
        if not depth:
            return i == len(text) - 1
    return False


def spoken(words: Sequence[str]) -> list[str]:
    """Words as they are made into tokens, one by one: behind a space, but for the first. Joined they are the text."""
    return [f" {word}" if i else word for i, word in enumerate(words)]


def encode_words(tokenizer: Tokenizer, words: Sequence[str]) -> Pieces:
    """The tokens of words that are given one by one, as in a file of tagged words.

    Each is encoded by itself, behind a space but for the first, whatever stood between them. A token that is but the space is
    not a word's first.

        encode_words(tokenizer, ["EU", "rejects"]).ids == [*tokenizer.encode("EU"), *tokenizer.encode(" rejects")]
    """
    parts = tokenizer.encode_many(spoken(words))
    space, ids, places = tokenizer.encode(" "), list[int](), list[int]()
    for i, part in enumerate(parts):
        before = first_of(part, space) if i else 0
        places.append(len(ids) + before if len(part) > before else -1)
        ids += part
    return Pieces(ids, places)


def first_of(part: Sequence[int], space: Sequence[int]) -> int:
    """How many tokens of a word behind a space are the space alone: 0 where it is part of the word's first."""
    alone = len(space)
    return alone if 0 < alone < len(part) and list(part[:alone]) == list(space) else 0
