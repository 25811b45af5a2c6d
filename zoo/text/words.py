"""Words of a text, and the tokens of each: a tag is of a word, and stands at the first of its tokens."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from zoo.text.base import Tokenizer

#: Letters, digits and _ that stand together, or any other character by itself.
WORD = re.compile(r"\w+|[^\w\s]")


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
    """The words of a text: runs of letters, digits and _, and every other character that is no space."""
    return [Word(found.group(), *found.span()) for found in WORD.finditer(text)]


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
