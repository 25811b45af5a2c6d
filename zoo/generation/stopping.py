"""When a text ends: at ids, at strings, or at neither; and what of it may be shown before that is known."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError

# Tokens of the prompt that decoding begins with: a tokenizer may spell a word otherwise at the start of a text.
CONTEXT = 8


class Step(NamedTuple):
    """One more token of each row: token [B] and its log-probability [B] under the plain model."""

    token: Tensor
    logprob: Tensor


class Stop:
    """What ends a row: `ids`, the tokens that do, and `strings`, found in the text of the new tokens wherever they begin.

    Args:
        stop: an id, a string, or a list of both; None: `end_tokens`, those of the model; [] is nothing.
        vocab_size: ids are below it.
        tokenizer: decodes; also has the pad that stands after a row's end.

    Raises: ZooError for anything else, an id outside the vocabulary, an empty string, a string without a tokenizer.
    """

    def __init__(
        self,
        stop: int | str | Iterable[int | str] | None,
        *,
        end_tokens: Sequence[int] | None = None,
        vocab_size: int,
        tokenizer: Any = None,
    ):
        ends = list(end_tokens or ())
        given = ends if stop is None else [stop] if isinstance(stop, int | str) else list(stop)
        self.ids = frozenset(each for each in given if type(each) is int)
        self.strings = tuple(each for each in given if isinstance(each, str))
        if any(type(each) is not int and not isinstance(each, str) for each in given):
            raise ZooError(f"stop is ids, strings or both; got {stop!r}.")
        if wrong := [each for each in self.ids if not 0 <= each < vocab_size]:
            raise ZooError(f"stop has the id {wrong[0]}, outside the vocabulary of this model, 0 to {vocab_size - 1}.")
        if "" in self.strings:
            raise ZooError("stop has an empty string, which every text has at once: leave it out.")
        if self.strings and tokenizer is None:
            raise ZooError(f"stop={self.strings[0]!r} is a string, and this model has no tokenizer: give ids.")
        self.tokenizer = tokenizer
        pad = None if tokenizer is None else tokenizer.pad
        self.fill = next((each for each in (pad, *ends, *sorted(self.ids)) if each is not None), 0)

    def __bool__(self) -> bool:
        return bool(self.ids or self.strings)

    def tail(self, prompt: Sequence[int]) -> "Tail":
        """The text that follows a prompt."""
        return Tail(self.strings, self.tokenizer, prompt)

    def ends(self, new: Sequence[int], prompt: Sequence[int]) -> bool:
        """Whether a text ends with the last of its new tokens."""
        if new[-1] in self.ids or not self.strings:
            return new[-1] in self.ids
        tail = self.tail(prompt)
        for each in new:
            tail.push(each)
        return tail.ended


class Rows:
    """Which rows of a batch have ended, token after token.

    Args:
        stop: what ends them.
        prompts: the ids of each row's.
    """

    def __init__(self, stop: Stop, prompts: Sequence[Sequence[int]]):
        self.stop, self.ended, self.lengths = stop, [False] * len(prompts), [0] * len(prompts)
        self.tails = [stop.tail(prompt) for prompt in prompts] if stop.strings else None
        self.over: Tensor | None = None  # [B] bool, once a row has ended

    @property
    def all(self) -> bool:
        return self.over is not None and all(self.ended)

    def take(self, token: Tensor, logprob: Tensor) -> Step:
        """The next token [B] of each row, or what fills up those that have ended; notes which end with it."""
        if self.over is not None:
            token, logprob = token.masked_fill(self.over, self.stop.fill), logprob.masked_fill(self.over, 0)
        if not self.stop:
            self.lengths = [length + 1 for length in self.lengths]
            return Step(token, logprob)
        found = False
        for row, each in enumerate(token.tolist()):
            if not self.ended[row]:
                self.lengths[row] += 1
                self.ended[row] = self._ends(row, each)
                found |= self.ended[row]
        if found:
            self.over = torch.tensor(self.ended, device=token.device)
        return Step(token, logprob)

    def _ends(self, row: int, token: int) -> bool:
        if token in self.stop.ids or self.tails is None:
            return token in self.stop.ids
        self.tails[row].push(token)
        return self.tails[row].ended


class Tail:
    """The text of a row as it grows: `push` gives what may be shown. It breaks no character, and holds back what may turn out
    to be the beginning of a stop string; from that string on there is nothing more.

    Args:
        strings: that end it.
        tokenizer: decodes.
        prompt: ids that stand before; not shown.
    """

    def __init__(self, strings: Sequence[str], tokenizer: Any, prompt: Sequence[int] = ()):
        from zoo.text import Decoding

        self.strings, self.held, self.ended = strings, "", False
        self.decoding = Decoding(tokenizer)
        for each in prompt[-CONTEXT:]:
            self.decoding.push([each])

    def push(self, token: int) -> str:
        """What may be shown now that this token has come."""
        return self._shown(self.decoding.push([token]))

    def rest(self) -> str:
        """What was held back, once no more will come."""
        shown = self._shown(self.decoding.rest())
        shown, self.held, self.ended = shown + self.held, "", True
        return shown

    def _shown(self, new: str) -> str:
        if self.ended:
            return ""
        text = self.held + new
        found = min((at for at in (text.find(each) for each in self.strings) if at >= 0), default=None)
        if found is not None:
            self.held, self.ended = "", True
            return text[:found]
        keep = max((n for each in self.strings for n in _overlaps(text, each)), default=0)
        shown, self.held = text[: len(text) - keep], text[len(text) - keep :]
        return shown


def _overlaps(text: str, string: str) -> Iterator[int]:
    """How many letters at the end of the text begin the string."""
    return (n for n in range(1, min(len(text), len(string) - 1) + 1) if text.endswith(string[:n]))
