"""Tokenizers made of training text: `tokenizer=char | bpe | unigram | wordpiece`; byte needs none."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from zoo.errors import ZooError, nearest, one_line
from zoo.text.base import Tokenizer, utf8
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import SPECIAL, Bytes, Characters

WORDPIECE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TRAINED = ("char", "bpe", "unigram", "wordpiece")


def train_tokenizer(kind: str, texts: Iterable[str], vocab_size: int | None = None, special: bool = True) -> Tokenizer:
    """A tokenizer of the kind, made of the texts; the same of the same texts.

    Args:
        kind: "byte", "char", "bpe", "unigram" or "wordpiece".
        texts: to learn from, the training part alone; read once, as they come.
        vocab_size: of bpe, unigram, wordpiece: at most so many ids, special ones included; small texts give less.
        special: whether it has tokens that begin, end, fill up and mask (wordpiece keeps [UNK] in any case).
    Raises: ZooError for another kind, no text, or a vocabulary too small for the alphabet.

    bpe (Sennrich et al. 2016) and unigram (Kudo 2018) work on bytes, as GPT-2 does, so every text comes back exactly; wordpiece
    (Schuster and Nakajima 2012) is BERT's uncased one: lower case, accents and spaces are lost.
    """
    if kind == "byte":
        return Bytes(special)
    if kind == "char":
        return Characters.of(texts, special)
    if kind not in TRAINERS:
        raise ZooError(f"tokenizer={kind} cannot be trained; {nearest(kind, ('byte', *TRAINED))}")
    if not isinstance(vocab_size, int) or isinstance(vocab_size, bool):
        raise ZooError(f"tokenizer.vocab_size={vocab_size} is not a number of tokens; give one, such as 4096.")
    least = 256 + len(SPECIAL) * special if kind != "wordpiece" else 64
    if not least < vocab_size <= 1_000_000:
        raise ZooError(
            f"tokenizer.vocab_size={vocab_size} is not within {least + 1} to 1,000,000; give a number of these."
        )
    seen = _Seen(texts)
    try:
        inner = TRAINERS[kind](seen, vocab_size, special)
    except ZooError:
        raise
    except Exception as error:
        raise ZooError(f"tokenizer={kind} cannot be trained on this text: {one_line(error, 300)}") from error
    if not seen.letters:
        raise ZooError(f"tokenizer={kind} has no text to learn from; give it one.")
    return LibraryTokenizer(inner, kind, **({} if special else dict.fromkeys(("bos", "eos", "pad", "mask"))))


class _Seen:
    """The texts, checked as they pass."""

    def __init__(self, texts: Iterable[str]):
        self.texts, self.letters = texts, 0

    def __iter__(self) -> Any:
        for text in self.texts:
            utf8(text)
            self.letters += len(text)
            yield text


def _bytes_of(model: Any) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    inner = Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _bpe(texts: Any, vocab_size: int, special: bool) -> Any:
    from tokenizers import models, pre_tokenizers, trainers

    inner = _bytes_of(models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = list(SPECIAL) if special else []
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    return inner


def _unigram(texts: Any, vocab_size: int, special: bool) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    inner = _bytes_of(models.Unigram())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = list(SPECIAL) if special else []
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    content = json.loads(inner.to_str())  # of 6 digits, which come back the same when it is read again
    content["model"]["vocab"] = [[token, round(score, 6)] for token, score in content["model"]["vocab"]]
    return Tokenizer.from_str(json.dumps(content))


def _wordpiece(texts: Any, vocab_size: int, special: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    names = list(WORDPIECE) if special else ["[UNK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=names, show_progress=False)
    inner.train_from_iterator(texts, trainer)
    if special:
        ends = [(name, inner.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return inner


TRAINERS: dict[str, Callable[[Any, int, bool], Any]] = {"bpe": _bpe, "unigram": _unigram, "wordpiece": _wordpiece}
