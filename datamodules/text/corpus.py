"""What a set of texts is before any choice about tokens and batches."""

import codecs
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from datamodules.splits import Splits
from zoo.errors import ZooError
from zoo.text.words import spoken

#: Bytes that are read at a time: a corpus may be larger than memory.
STEP = 1 << 18


class Document(Protocol):
    """One text, a piece at a time."""

    def pieces(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class Text:
    """A text in memory."""

    text: str

    def pieces(self) -> Iterator[str]:
        yield self.text


@dataclass(frozen=True)
class Turns:
    """A conversation: what is said, and whether a model is to say it. Only that is learned from."""

    turns: tuple[tuple[str, bool], ...]

    def pieces(self) -> Iterator[str]:
        for text, _ in self.turns:
            yield text


@dataclass(frozen=True)
class Tagged:
    """A sentence of words, and the number of each one's tag. Each word is a piece: its tokens begin with it."""

    words: tuple[str, ...]
    tags: tuple[int, ...]

    def pieces(self) -> Iterator[str]:
        yield from spoken(self.words)


@dataclass(frozen=True)
class FileText:
    """A file of UTF-8 from byte `start` to `end` (None: its end), read in pieces that end at the end of a word.

    Raises: ZooError where it cannot be read, or a byte is no UTF-8 (which, and where).
    """

    path: Path
    start: int = 0
    end: int | None = None

    def pieces(self) -> Iterator[str]:
        decoder, held = codecs.getincrementaldecoder("utf-8")(), ""
        at = self.start
        try:
            with open(self.path, "rb") as file:
                if at == 0 and file.read(3) == codecs.BOM_UTF8:
                    at = 3
                file.seek(at)
                while True:
                    block = file.read(STEP if self.end is None else max(0, min(STEP, self.end - at)))
                    waiting = len(decoder.getstate()[0])
                    try:
                        text = held + decoder.decode(block, final=not block)
                    except UnicodeDecodeError as error:
                        byte = at - waiting + error.start
                        raise ZooError(
                            f"{self.path} is no UTF-8: byte {byte} is 0x{error.object[error.start]:02x}; save it as UTF-8."
                        ) from None
                    at += len(block)
                    if not block:
                        break
                    cut = _word_end(text)
                    held = text[cut:]
                    if cut:
                        yield text[:cut]
        except OSError as error:
            raise ZooError(f"{self.path} cannot be read ({error.strerror}).") from error
        if text:
            yield text


def _word_end(text: str) -> int:
    """A place to cut: before a space behind a letter or digit, as late as there is one near the end; else the end.

    Tokens of byte-level BPE and of WordPiece never go across it, so a text is encoded in pieces as it is whole.
    """
    for at in range(len(text) - 1, max(0, len(text) - 10_000), -1):
        if text[at].isspace() and text[at - 1].isalnum():
            return at
    return len(text) if len(text) >= STEP else 0


@dataclass
class Corpus:
    """All texts of a set.

    Args:
        documents: each a text of its own, or, without `ends`, parts of one.
        splits: which documents are for training, validation and test.
        ends: whether a document begins and ends where its text does.
        labels: of each document, [D] long or [D, C] float; None: there are none.
        classes: their names.
        targets: "tokens", "class", "labels" or "tags"; see `zoo.spec.TARGETS`.
        name: what it is called in messages.
    """

    documents: Sequence[Document]
    splits: Splits
    ends: bool = True
    labels: Any = None
    classes: tuple[str, ...] = ()
    targets: str = "tokens"
    name: str = "the corpus"
    digests: dict[str, str] = field(default_factory=dict, init=False)

    @property
    def turns(self) -> bool:
        """Whether documents are conversations."""
        return bool(self.documents) and isinstance(self.documents[0], Turns)

    def part(self, stage: str) -> list[Document]:
        """The documents of "train", "val" or "test"."""
        return [self.documents[row] for row in self.splits[stage].tolist()]

    def texts(self, stage: str) -> Iterator[str]:
        """The raw text of a part, a piece at a time."""
        for document in self.part(stage):
            yield from document.pieces()

    def digest(self, stage: str) -> str:
        """The sha256 of a part: of the sha256 of its documents."""
        if stage not in self.digests:
            whole = hashlib.sha256(str(self.ends).encode())
            for document in self.part(stage):
                one = hashlib.sha256(_apart(document))
                for piece in document.pieces():
                    one.update(piece.encode(errors="surrogatepass"))
                    if isinstance(document, Turns):
                        one.update(b"\0")
                whole.update(one.digest())
            self.digests[stage] = whole.hexdigest()
        return self.digests[stage]


def _apart(document: Document) -> bytes:
    """What tells a document from another of the same letters, of which other tokens are made."""
    if isinstance(document, Turns):
        return repr([asked for _, asked in document.turns]).encode()
    return b"words" if isinstance(document, Tagged) else b""
