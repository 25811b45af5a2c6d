"""Tokenizers that need no training and no library: a byte is a token, or a character is."""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from zoo.errors import ZooError
from zoo.text.base import Tokenizer, utf8

#: The special tokens of byte, char, bpe and unigram; the first both begins and ends a document.
SPECIAL = ("<|endoftext|>", "<|pad|>", "<|mask|>")


class _Plain(Tokenizer):
    """The special tokens stand behind the others.

    Args:
        count: of the others.
        special: whether there are any.
    """

    def __init__(self, count: int, special: bool):
        self.names = SPECIAL if special else ()
        self.count, self.vocab_size = count, count + len(self.names)
        if special:
            self.bos = self.eos = count
            self.pad, self.mask = count + 1, count + 2

    def id(self, token: str) -> int | None:
        return self.count + self.names.index(token) if token in self.names else None


class Bytes(_Plain):
    """The 256 bytes of UTF-8: id = byte; any text, no training."""

    kind = "byte"

    def __init__(self, special: bool = True):
        super().__init__(256, special)

    def encode(self, text: str) -> list[int]:
        return list(utf8(text))

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        found = self.check(ids)
        if special:
            return "".join(self._run(found))
        return bytes(id for id in found if id < 256).decode(errors="replace")

    def _run(self, ids: list[int]) -> Iterable[str]:
        run = bytearray()
        for id in ids:
            if id < 256:
                run.append(id)
                continue
            yield run.decode(errors="replace")
            yield self.names[id - 256]
            run.clear()
        yield run.decode(errors="replace")

    def token(self, id: int) -> str:
        (id,) = self.check([id])
        return self.names[id - 256] if id >= 256 else chr(id) if id < 128 else f"<{id:02X}>"

    def measured(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        ids = np.frombuffer(utf8(text), np.uint8).astype(np.int64)
        return ids, np.ones_like(ids)

    @property
    def token_bytes(self) -> np.ndarray:
        return np.array([1] * 256 + [0] * len(self.names))

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "special": bool(self.names)})


class Characters(_Plain):
    """A character is a token: id = its place among those of the training text, in order.

    Args:
        characters: all that there are, each once.
    Raises: ZooError for none, or one that stands there twice.
    """

    kind = "char"

    def __init__(self, characters: Sequence[str], special: bool = True):
        self.characters = "".join(characters)
        self.ids = {character: id for id, character in enumerate(self.characters)}
        utf8(self.characters)
        if not self.ids or len(self.ids) != len(self.characters):
            raise ZooError("a tokenizer of characters needs each of its characters once, and at least one.")
        super().__init__(len(self.ids), special)

    @classmethod
    def of(cls, texts: Iterable[str], special: bool = True) -> "Characters":
        """All characters of the texts."""
        found: set[str] = set()
        for text in texts:
            found.update(text)
        if not found:
            raise ZooError("tokenizer=char has no text to take its characters from; give it one.")
        return cls(sorted(found), special)

    def encode(self, text: str) -> list[int]:
        try:
            return [self.ids[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            raise ZooError(
                f"tokenizer=char never saw {character!r} (U+{ord(character):04X}, character {text.index(character)} of the "
                "text) in training; leave it out, or take tokenizer=byte or bpe, which know every character."
            ) from None

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        names = self.names if special else [""] * len(self.names)
        return "".join(self.characters[id] if id < self.count else names[id - self.count] for id in self.check(ids))

    def token(self, id: int) -> str:
        return self.decode([id], special=True)

    @property
    def token_bytes(self) -> np.ndarray:
        return np.array([len(character.encode()) for character in self.characters] + [0] * len(self.names))

    def to_json(self) -> str:
        return json.dumps(
            {"kind": self.kind, "characters": self.characters, "special": bool(self.names)}, ensure_ascii=False
        )
