"""Vectors of words for tokens: read from a file as GloVe and fastText have them, or learned by Word2Vec."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.errors import ZooError, one_line
from zoo.text.base import Tokenizer

#: A vector a token, by id.
Vectors = dict[int, np.ndarray]
WORD = 1 << 16  # bytes of a word, at most
NUMBER = 64  # bytes of one of its numbers
MOST = 10_000  # tokens of a sentence that gensim reads at a time


def spelled(tokenizer: Tokenizer) -> dict[int, str]:
    """The word that each token spells: alone, or behind a space, it is encoded as that token. What only goes on a word spells
    none."""

    def one(text: str) -> list[int] | None:
        try:
            return tokenizer.encode(text)
        except ZooError:  # letters that it has no id for
            return None

    found = {}
    for id in range(tokenizer.vocab_size):
        if id in tokenizer.special or id == tokenizer.unk:
            continue
        word = tokenizer.decode([id]).strip()
        if word and "\ufffd" not in word and any(one(text) == [id] for text in (f" {word}", word)):
            found[id] = word
    return found


def from_file(path: str | Path, tokenizer: Tokenizer, width: int, name: str = "model.embedding") -> Vectors:
    """Vectors of tokens that are words of a file: a word and its numbers a line, with a line "words numbers" above them (.vec
    of word2vec and fastText) or without (GloVe).

    A token has the vector of the word that it spells as it stands there; else of one that the tokenizer reads as this token,
    as an uncased one does capitals and accents; else of its word in small letters. Of a word that stands there twice the first
    counts.

    Args:
        width: numbers of a vector, as the model has them.
        name: of the setting, for errors.
    Raises: ZooError for a file that is none, is of another width, is damaged (with its line), or knows none of the tokens.
    """
    path = Path(path).expanduser()
    where = f"{name}={path}"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no file"
        raise ZooError(f"{where} {what}; give word2vec, or a file of vectors: a word and its numbers a line.")
    words = spelled(tokenizer)
    folded: dict[str, list[int]] = {}
    for id, word in words.items():
        folded.setdefault(_folded(word), []).append(id)
    ranks: dict[int, int] = {}
    found: Vectors = {}
    try:
        with open(path, "rb") as file:
            for number, word, numbers in _lines(file, width, where):
                for id in folded.get(_folded(word), ()):
                    rank = _rank(word, words[id], partial(_is, tokenizer, word, id))
                    if rank < ranks.get(id, 3):
                        found[id], ranks[id] = _vector(numbers, f"{where}, line {number}"), rank
    except OSError as error:
        raise ZooError(f"{where} cannot be read ({error.strerror}).") from error
    if not found:
        raise ZooError(
            f"{where} has a vector for none of the {tokenizer.vocab_size:,} tokens ({tokenizer.kind}). "
            "Take a tokenizer of words, such as tokenizer=wordpiece, or vectors of this language."
        )
    return found


def learned(
    texts: Callable[[], Iterable[Sequence[int]]], tokenizer: Tokenizer, width: int, seed: int = 0, **how: Any
) -> Vectors:
    """Vectors of tokens by Word2Vec's skip-gram with negative sampling (Mikolov et al. 2013), of gensim: one for each token of
    the texts but special ones; the same for the same seed.

    Args:
        texts: called for each pass: ids of texts, one after the other.
        width: numbers of a vector.
        how: what gensim's Word2Vec takes; usual are 5 epochs, a window of 5, 5 negative samples.
    Raises: ZooError where gensim is not installed, or texts hold no two tokens.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise ZooError(
            'Word2Vec is of gensim, which is not installed; pip install "attention-zoo[word2vec]" (or gensim).'
        ) from error
    if (quiet := logging.getLogger("gensim")).level == logging.NOTSET:
        quiet.setLevel(logging.WARNING)  # it tells each pass
    sentences = _Sentences(texts, tokenizer.special)
    if not any(len(sentence) > 1 for sentence in sentences):
        raise ZooError("Word2Vec learns from tokens beside each other, and the texts have no two.")
    # One worker: with more the order of updates, and so the vectors, would differ from run to run.
    options = {"epochs": 5, "window": 5, "negative": 5, "min_count": 1, "sg": 1, **how}
    made = Word2Vec(sentences, vector_size=width, seed=seed + 1, workers=1, **options)
    return {int(token): made.wv[token] for token in made.wv.index_to_key}


class _Sentences:
    """What gensim reads, as often as it likes: tokens by their numbers, in pieces of a length that it does not cut."""

    def __init__(self, texts: Callable[[], Iterable[Sequence[int]]], special: frozenset[int]):
        self.texts, self.special = texts, special

    def __iter__(self) -> Iterator[list[str]]:
        for text in self.texts():
            for at in range(0, len(text), MOST):
                yield [str(id) for id in map(int, text[at : at + MOST]) if id not in self.special]


def _lines(file: BinaryIO, width: int, where: str) -> Iterator[tuple[int, str, list[bytes]]]:
    """(number, word, its numbers) of each line; the file is never held as a whole, and its first line is not believed."""
    promised, words = None, 0
    for number, line in enumerate(_cut(file, width, where), 1):
        if number == 1:
            if re.fullmatch(rb"\d{1,18} \d{1,18}", line):
                promised, numbers = map(int, line.split())
            else:
                numbers = line.count(b" ")
                if not numbers:
                    raise ZooError(
                        f"{where} is no file of vectors: its first line is {_shown(line)}, not a word and numbers."
                    )
            if numbers != width:
                raise ZooError(
                    f"{where} has vectors of {numbers:,} numbers, and the model has model.dim={width}; set "
                    f"model.dim={numbers}, or take vectors of {width}."
                )
            if promised is not None:
                continue
        if not line:
            raise ZooError(f"{where}, line {number} is empty; remove it.")
        parts = line.split(b" ") if line.count(b" ") == width else line.rsplit(b" ", width)
        if len(parts) <= width or any(map(_is_number, parts[0].split(b" ")[1:])):  # a word of GloVe's may hold spaces
            has = len([part for part in line.split(b" ")[1:] if _is_number(part)])
            raise ZooError(f"{where}, line {number} has {has} numbers behind its word, not {width}: {_shown(line)}.")
        words += 1
        yield number, parts[0].decode(errors="replace"), parts[1:]
    if promised is not None and words != promised:
        raise ZooError(
            f"{where} says that it has {promised:,} words, and has {words:,}: it is not whole; fetch it again."
        )


def _cut(file: BinaryIO, width: int, where: str) -> Iterator[bytes]:
    """Lines, without their ends, none longer than one can be."""
    most, number = WORD + NUMBER * (width + 1), 0
    while line := file.readline(most):
        number += 1
        if len(line) == most:
            raise ZooError(f"{where}, line {number} is longer than a word and {width} numbers can be: {_shown(line)}.")
        yield line.rstrip(b"\r\n ").replace(b"\t", b" ")


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            found = np.array([float(each) for each in numbers], np.float64).astype(np.float32)
    except ValueError:
        wrong = next(each for each in numbers if not _is_number(each))
        raise ZooError(f"{where}: {_shown(wrong)} is not a number.") from None
    if not np.isfinite(found).all():
        at = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ZooError(f"{where}: {_shown(numbers[at])} is not a finite number of 32 bits.")
    return found


def _is(tokenizer: Any, word: str, id: int) -> bool:
    return bool(tokenizer.encode(word) == [id])


def _rank(word: str, spelled: str, same: Callable[[], bool]) -> int:
    """How well a file's word is a token's: 0 best, 3 not."""
    return 0 if word == spelled else 1 if same() else 2 if word == spelled.lower() else 3


def _folded(word: str) -> str:
    """Without case and accents: words of one token have one form."""
    word = word.lower()
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text: bytes) -> str:
    return repr(one_line(text[:60].decode(errors="replace"), 40))
