"""Text of a model as it comes: no half character is shown."""

from collections.abc import Iterable

from zoo.text.base import Tokenizer


class Decoding:
    """Ids one by one to text: what `push` gives and `rest`, put together, is `tokenizer.decode(all ids)`.

        decoding = Decoding(tokenizer)
        for id in ids:
            print(decoding.push([id]), end="")
        print(decoding.rest())

    A token can end within a character; the text up to there waits until the character is complete.
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.ids: list[int] = []  # since the last place where text and tokens ended together, one step before
        self.shown = 0  # of these ids
        self._text = ""  # of ids[:shown]

    def push(self, ids: Iterable[int]) -> str:
        """The text that is complete now and was not before. Ids behind the vocabulary, for which released models leave room,
        stand for nothing."""
        self.ids += [id for id in ids if id < self.tokenizer.vocab_size]
        text = self.tokenizer.decode(self.ids)
        if text.endswith("\ufffd") or len(text) <= len(self._text):
            return ""
        new = text[len(self._text) :]
        # What was just shown stays as context: a tokenizer may spell a word's beginning otherwise at the start of a text.
        self.ids = self.ids[self.shown :]
        self.shown, self._text = len(self.ids), self.tokenizer.decode(self.ids)
        return new

    def rest(self) -> str:
        """What never became complete: U+FFFD where bytes are missing."""
        text = self.tokenizer.decode(self.ids)[len(self._text) :]
        self.ids, self.shown, self._text = [], 0, ""
        return text
