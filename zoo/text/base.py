"""What a tokenizer is: text to ids and back, a few ids with a role, one file."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from zoo.errors import ZooError
from zoo.files import write_text

#: Ids with a role, None where a tokenizer has no such token. None of them is ever made of text by `encode`.
ROLES = ("bos", "eos", "pad", "mask", "unk")


class Located(NamedTuple):
    """Tokens and where they stand: token i is of text[starts[i]:ends[i]], without spaces around it. Each [n]; starts and ends
    never go back."""

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class Tokenizer(ABC):
    """Text to ids and back.

        encode("a text") -> [12, 7, 430]        decode([12, 7, 430]) -> "a text"

    `decode(encode(text)) == text` for every text where `exact` (byte, bpe, unigram, gpt2; char, for the characters it
    knows). Text stays text: `encode("<|endoftext|>")` is the ids of these letters, never the token of that name, which is
    `id("<|endoftext|>")`.

    A kind of one's own defines `encode`, `decode`, `token`, `id` and `settings`, and sets `vocab_size` and what roles it has
    (docs/extend.md).

    Attributes:
        kind: "byte", "char", "bpe", "unigram", "wordpiece", "gpt2", "file", or another word.
        vocab_size: ids are 0 to vocab_size - 1.
        bos, eos: ids that begin and end a document; one and the same for most.
        pad, mask, unk: ids that fill up a row, stand for what is to be guessed, and for what is not in the vocabulary.
        exact: whether decoding gives every text back.
    """

    kind: str = ""
    exact: bool = True
    vocab_size: int
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    mask: int | None = None
    unk: int | None = None
    #: `zoo.text.from_file`: set there, where all kinds are known.
    load: ClassVar[Callable[..., "Tokenizer"]]

    # -- what a kind defines -----------------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises: ZooError for a text that is no Unicode, or a character without an id."""

    @abstractmethod
    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """The text of ids; bos, eos, pad and mask are no text and shown with `special` alone. Bytes that are no UTF-8 become
        U+FFFD. Raises: ZooError for an id outside the vocabulary."""

    @abstractmethod
    def token(self, id: int) -> str:
        """A token as a plot's axis shows it."""

    @abstractmethod
    def id(self, token: str) -> int | None:
        """The id of a token by its name, as of "[MASK]"; None where there is none."""

    def settings(self) -> dict[str, Any]:
        """What its class is called with to be made again, in values of JSON: kept in tokenizer.json."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot be kept: define `settings`, the arguments of its class."
        )

    def to_json(self) -> str:
        """The content of tokenizer.json. Raises: ZooError for settings that are not plain."""
        try:
            return json.dumps({"_target_": target_of(type(self)), "settings": self.settings()}, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise ZooError(f"The settings of {type(self).__name__} are no values of JSON: {error}.") from error

    @property
    def roles(self) -> dict[str, Any]:
        """What is kept beside `to_json`: its kind, and the ids with a role."""
        return {key: getattr(self, key) for key in ("kind", *ROLES)}

    @property
    def special(self) -> frozenset[int]:
        """Ids that are no text."""
        return frozenset(id for role in ROLES[:-1] if (id := getattr(self, role)) is not None)

    @property
    def token_bytes(self) -> np.ndarray | None:
        """[vocab_size]: the bytes of text that each token stands for, 0 for special ones; None where it depends on the text."""
        return None

    def measured(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """(ids, bytes of the text that each stands for): the bytes add up to the text's."""
        ids = np.asarray(self.encode(text), np.int64)
        if (sizes := self.token_bytes) is not None:
            return ids, sizes[ids]
        # Of a kind that does not say: what each decodes to by itself, and the last one has the rest.
        total, alone = len(utf8(text)), [len(self.decode([id]).encode()) for id in ids.tolist()]
        ends = np.minimum(np.cumsum(alone, dtype=np.int64), total)
        ends[-1:] = total
        return ids, np.diff(ends, prepend=0)

    def measured_many(self, texts: Sequence[str]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """`measured` of each."""
        return map(self.measured, texts)

    def located(self, text: str) -> Located:
        """The ids of a text and the characters that each is of: those whose bytes it stands for, a part of one as the whole."""
        ids, sizes = self.measured(text)
        ends = np.cumsum(sizes, dtype=np.int64)
        of_byte = np.repeat(np.arange(len(text)), [len(character.encode()) for character in text])
        of_byte = np.append(of_byte, len(text))
        return trimmed(text, ids, of_byte[ends - sizes], np.where(sizes > 0, of_byte[ends - 1] + 1, of_byte[ends]))

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each."""
        return [self.encode(text) for text in texts]

    # -- for all of them ---------------------------------------------------------------------------------------------

    def prompt(self, text: str) -> list[int]:
        """The ids of a text to go on from: behind bos where texts of this tokenizer begin so, or where it is empty."""
        ids = self.encode(text)
        return ids if ids or self.bos is None else [self.bos]

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """What it puts before and behind a source of its own accord: nothing; one of others what its file says (a source of
        Marian's and BART's models ends in eos)."""
        return [], []

    def document(self, text: str) -> list[int]:
        """The ids of a whole text: bos, ids, eos, as far as there are such."""
        ends = [[id] if id is not None else [] for id in (self.bos, self.eos)]
        return [*ends[0], *self.encode(text), *ends[1]]

    def check(self, ids: Iterable[int]) -> list[int]:
        """The ids as a list. Raises: ZooError for one outside the vocabulary."""
        found = [int(id) for id in ids]
        if found and (min(found) < 0 or max(found) >= self.vocab_size):
            wrong = next(id for id in found if not 0 <= id < self.vocab_size)
            raise ZooError(
                f"id {wrong} is outside the tokenizer's vocabulary of {self.vocab_size} (0 to {self.vocab_size - 1})."
            )
        return found

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of what it does: equal for equal tokenizers."""
        return hashlib.sha256(f"{self.to_json()}{[getattr(self, role) for role in ROLES]}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kind={self.kind!r}, vocab_size={self.vocab_size})"

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json; a folder gets a file of that name."""
        path = Path(path)
        write_text(path / "tokenizer.json" if path.is_dir() else path, self.to_json())


def trimmed(text: str, ids: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Located:
    """Tokens of text[starts[i]:ends[i]] without the spaces around what each is of; one of spaces alone keeps them."""
    starts, ends = starts.astype(np.int64), ends.astype(np.int64)
    space = np.array([character.isspace() for character in text], bool)
    dark = np.flatnonzero(~space)
    if len(dark):
        first = dark[np.minimum(np.searchsorted(dark, starts), len(dark) - 1)]  # the next letter from the start on
        last = dark[np.maximum(np.searchsorted(dark, ends) - 1, 0)] + 1
        some = (first >= starts) & (last <= ends) & (first < last)
        starts, ends = np.where(some, first, starts), np.where(some, last, ends)
    return Located(ids, np.maximum.accumulate(starts), np.maximum.accumulate(ends))


def target_of(kind: type[Tokenizer]) -> str:
    """The name that tokenizer.json calls a class by."""
    return f"{kind.__module__}.{kind.__qualname__}"


def utf8(text: str) -> bytes:
    """The bytes of a text. Raises: ZooError for half a surrogate pair, which no file of text can hold."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ZooError(
            f"the text is no Unicode: character {error.start} is U+{ord(text[error.start]):04X}, half of a pair; leave it out."
        ) from None
