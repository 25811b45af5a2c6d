"""A tokenizer of ours as one of the `tokenizers` library, which transformers and vLLM read: the same ids of the same text.

Text that spells a special token is text to us, and that token to them.
"""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Inner

from zoo.errors import ZooError, one_line
from zoo.text import Tokenizer
from zoo.text.base import ROLES
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import Bytes, Characters

TEXTS = ("The quick brown fox, 42 times.", "def f(x):\n\treturn x  # a tab", "Grüße, 你好 \U0001f600", "  two  spaces ")


@singledispatch
def inner_of(tokenizer: Tokenizer) -> Any:
    """The library's. Raises: ZooError for a kind that it cannot express."""
    raise ZooError(
        f"tokenizer={tokenizer.kind or type(tokenizer).__name__} is a kind that the tokenizers library does not know: it is "
        "not exported to transformers."
    )


@inner_of.register
def _(tokenizer: LibraryTokenizer) -> Any:
    return Inner.from_str(tokenizer.to_json())


@inner_of.register
def _(tokenizer: Bytes) -> Any:
    """Each byte is a letter of GPT-2's alphabet, and none are joined."""
    made = Inner(models.BPE({letter: byte for byte, letter in enumerate(alphabet())}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return _with_special(made, tokenizer.names)


@inner_of.register
def _(tokenizer: Characters) -> Any:
    made = Inner(models.BPE(tokenizer.ids, []))
    made.decoder = decoders.Fuse()
    return _with_special(made, tokenizer.names)


def alphabet() -> list[str]:
    """The letter of each byte: itself where it is printable, else the next from U+0100 on (Radford et al. 2019, their code)."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def roles_of(tokenizer: Tokenizer, inner: Any) -> dict[str, str]:
    """The tokens with a role by transformers' names: {"eos_token": "<|endoftext|>"}."""
    ids = {f"{role}_token": getattr(tokenizer, role) for role in ROLES}
    return {name: inner.id_to_token(id) for name, id in ids.items() if id is not None}


def check_same(ours: Tokenizer, theirs: Any) -> None:
    """Compare ids and texts. Raises: ZooError where they differ."""
    texts = [*TEXTS, ours.decode(id for id in range(min(ours.vocab_size, 500)) if id not in ours.special)]
    for text in texts:
        try:
            ids = ours.encode(text)
        except ZooError:  # characters that it never saw
            continue
        if theirs.encode(text, add_special_tokens=False) != ids or theirs.decode(ids) != ours.decode(ids):
            raise ZooError(f"The exported tokenizer reads {one_line(text, 60)!r} otherwise than ours: it is not kept.")


def _with_special(made: Any, names: Sequence[str]) -> Any:
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    return made
