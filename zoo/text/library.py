"""Tokenizers of the `tokenizers` library: BPE, Unigram, WordPiece, and whatever a tokenizer.json says."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from zoo.errors import ZooError, one_line
from zoo.text.base import ROLES, Located, Tokenizer, trimmed, utf8
from zoo.text.silent import silent

#: What special tokens are usually called, by role; the first that there is has it.
NAMES = {
    "bos": ("<s>", "<bos>", "<|begin_of_text|>", "[CLS]", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("</s>", "<eos>", "<|end_of_text|>", "[SEP]", "<|endoftext|>", "<|im_end|>"),
    "pad": ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>"),
    "mask": ("<mask>", "[MASK]", "<|mask|>"),
    "unk": ("<unk>", "[UNK]"),
}


class LibraryTokenizer(Tokenizer):
    """A `tokenizers.Tokenizer`, neither cutting nor padding, and with text that stays text.

    Args:
        inner: of the library.
        kind: what it is called; see `Tokenizer`.
        roles: ids or names of bos, eos, pad, mask, unk, None for none; what is left out has the usual names (NAMES), as far as
            special tokens are called so.
    Raises: ZooError for a role whose token there is not.
    """

    def __init__(self, inner: Any, kind: str = "file", **roles: int | str | None):
        self.inner, self.kind = inner, kind
        inner.no_truncation()
        inner.no_padding()
        inner.encode_special_tokens = True
        if getattr(inner.model, "dropout", None):
            inner.model.dropout = None  # the same text is the same ids
        added = inner.get_added_tokens_decoder()
        self.vocab_size = 1 + max([*added, *inner.get_vocab(False).values()], default=-1)
        self._special = frozenset(id for id, token in added.items() if token.special)
        named = {added[id].content: id for id in self._special}
        for role in ROLES:
            if role in roles:
                setattr(self, role, self._role(role, roles[role]))
            else:
                setattr(self, role, next((named[name] for name in NAMES[role] if name in named), None))
        self.exact = self.token_bytes is not None

    def _role(self, role: str, given: int | str | None) -> int | None:
        id = self.inner.token_to_id(given) if isinstance(given, str) else given
        if (id is None and given is not None) or (id is not None and not 0 <= id < self.vocab_size):
            raise ZooError(f"the tokenizer has no token {given!r} for {role}; its {self.vocab_size} ids begin at 0.")
        return id

    # -- text to ids and back ----------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        utf8(text)
        return self._asked(lambda: self.inner.encode(text, add_special_tokens=False)).ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        for text in texts:
            utf8(text)
        found = self._asked(lambda: self.inner.encode_batch_fast(list(texts), add_special_tokens=False))
        return [each.ids for each in found]

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        found = self.check(ids)
        if not special:
            hidden = self.special
            found = [id for id in found if id not in hidden]
        return self._asked(lambda: self.inner.decode(found, skip_special_tokens=False))

    def token(self, id: int) -> str:
        (id,) = self.check([id])
        if id in self.special or not self.exact:
            return self.inner.id_to_token(id) or f"<{id}>"
        shown = self.inner.decode([id], skip_special_tokens=False)
        return shown if "\ufffd" not in shown else self.inner.id_to_token(id)

    def id(self, token: str) -> int | None:
        return self.inner.token_to_id(token)

    @property
    def special(self) -> frozenset[int]:
        return (self._special | super().special) - {self.unk}

    def try_out(self) -> None:
        """Raise what the library panics with on any text, such as rules that name what there is not."""
        try:
            self._ends, self.inner.decode([0])
        except ZooError as error:
            if type(error.__cause__).__name__ == "PanicException":
                raise
        except Exception:  # of this text alone
            pass

    @cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """What the library puts before and behind a text of its own accord."""
        plain, whole = (
            self._asked(lambda add=add: self.inner.encode("a", add_special_tokens=add)).ids for add in (False, True)
        )
        at = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
        return whole[:at], whole[at + len(plain) :]

    def prompt(self, text: str) -> list[int]:
        ids = [*self._ends[0], *self.encode(text)]
        return ids if ids or self.bos is None else [self.bos]

    @property
    def around(self) -> tuple[list[int], list[int]]:
        return self._ends

    # -- bytes of the text -------------------------------------------------------------------------------------------

    @cached_property
    def token_bytes(self) -> np.ndarray | None:
        parts = json.loads(self.inner.to_str())
        before, decoder = parts["pre_tokenizer"] or {}, parts["decoder"] or {}
        steps = before.get("pretokenizers", [before])
        levels = [step for step in steps if step.get("type") == "ByteLevel"]
        if not levels or decoder.get("type") != "ByteLevel" or parts["normalizer"]:
            return None
        if any(level.get("add_prefix_space") for level in levels) or parts["model"].get("unk_token"):
            return None
        sizes = np.zeros(self.vocab_size, np.int64)
        for token, id in self.inner.get_vocab(True).items():
            sizes[id] = 0 if id in self.special else len(token)  # a letter of the vocabulary is a byte
        return sizes

    def measured_many(self, texts: Sequence[str]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        sizes = self.token_bytes
        if sizes is None:
            return super().measured_many(texts)
        for text in texts:
            utf8(text)
        found = self._asked(lambda: self.inner.encode_batch_fast(list(texts), add_special_tokens=False))
        every = (np.asarray(each.ids, np.int64) for each in found)
        return ((ids, sizes[ids]) for ids in every)

    def measured(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        if self.token_bytes is not None:
            return super().measured(text)
        utf8(text)
        found = self._asked(lambda: self.inner.encode(text, add_special_tokens=False))
        ids = np.asarray(found.ids, np.int64)
        # Where each token ends in the text; what lies between two (a space) counts to the later one.
        ends = np.maximum.accumulate(np.array([end for _, end in found.offsets] or [0])[: len(ids)])
        if len(ids):
            ends[-1] = len(text)
        widths = np.concatenate([[0], np.cumsum([len(character.encode()) for character in text])])
        return ids, np.diff(widths[ends], prepend=0)

    def located(self, text: str) -> Located:
        if self.token_bytes is not None:
            return super().located(text)
        utf8(text)
        found = self._asked(lambda: self.inner.encode(text, add_special_tokens=False))
        offsets = np.array(found.offsets, np.int64).reshape(-1, 2)
        return trimmed(text, np.asarray(found.ids, np.int64), offsets[:, 0], offsets[:, 1])

    # -- files -------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        return self.inner.to_str()

    def __reduce__(self) -> Any:
        return _rebuilt, (self.to_json(), self.kind, {role: getattr(self, role) for role in ROLES})

    def _asked(self, what: Any) -> Any:
        """Of the library, whose errors, also those it panics with, become sentences."""
        try:
            with silent():
                return what()
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise ZooError(f"the tokenizer cannot do it: {one_line(error, 300)}") from error
            raise


def _rebuilt(text: str, kind: str, roles: dict[str, int | None]) -> LibraryTokenizer:
    from tokenizers import Tokenizer as Inner

    return LibraryTokenizer(Inner.from_str(text), kind, **roles)
