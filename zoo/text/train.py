"""Tokenizers made of training text: `tokenizer=char | bpe | unigram | wordpiece | words`; byte needs none."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from zoo.errors import ZooError, nearest, one_line
from zoo.text.base import Tokenizer, utf8
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import SPECIAL, Bytes, Characters
from zoo.text.unigram import learn
from zoo.text.whole_words import SPECIAL as OF_WORDS
from zoo.text.whole_words import words
from zoo.text.wordpiece import wordpiece

TRAINED = ("char", "bpe", "unigram", "wordpiece", "words")
LOWER = ("bpe", "unigram", "words")  # those that can lower the case; wordpiece always does


def train_tokenizer(
    kind: str,
    texts: Iterable[str],
    vocab_size: int | None = None,
    special: bool = True,
    lower: bool = False,
    min_count: int = 2,
) -> Tokenizer:
    """A tokenizer of the kind, made of the texts; the same of the same texts.

    Args:
        kind: "byte", "char", "bpe", "unigram", "wordpiece" or "words".
        texts: to learn from, the training part alone; read once, as they come.
        vocab_size: of bpe, unigram, wordpiece: at most so many ids, special ones included; small texts give less.
        special: whether it has tokens that begin, end, fill up and mask (wordpiece keeps [UNK], words <unk> in any case).
        lower: of bpe, unigram and words: whether it reads all in lower case.
        min_count: of words: those seen less often are <unk>.
    Raises: ZooError for another kind, no text, or a vocabulary too small for the alphabet.

    bpe (Sennrich et al. 2016) and unigram (Kudo 2018) work on bytes, as GPT-2 does, so every text comes back exactly; wordpiece
    (Schuster and Nakajima 2012) is BERT's uncased one: lower case, accents and spaces are lost. words has whole words, see
    `zoo.text.whole_words`.
    """
    if lower and kind not in LOWER:
        raise ZooError(f"tokenizer={kind} does not lower the case (lower=true); take one of {', '.join(LOWER)}.")
    if kind == "byte":
        return Bytes(special)
    if kind == "char":
        return Characters.of(texts, special)
    if kind == "words":
        return _whole_words(texts, special, lower, min_count)
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
        inner = TRAINERS[kind](seen, vocab_size, special, lower)
    except ZooError:
        raise
    except Exception as error:  # the library has no error of its own
        raise ZooError(f"tokenizer={kind} cannot be trained on this text: {one_line(error, 300)}") from error
    if not seen.letters:
        raise ZooError(f"tokenizer={kind} has no text to learn from; give it one.")
    return LibraryTokenizer(inner, kind, **({} if special else NO_ROLES))


def _whole_words(texts: Iterable[str], special: bool, lower: bool, min_count: int) -> Tokenizer:
    if isinstance(min_count, bool) or not isinstance(min_count, int) or min_count < 1:
        raise ZooError(f"min_count={min_count} is not how often a word is seen at least; give 1 or more.")
    names = OF_WORDS if special else ("<unk>",)
    inner = words(_Seen(texts), names, lower, min_count)
    if inner.get_vocab_size() == len(names):
        raise ZooError(
            f"tokenizer=words finds no word {min_count} times in the text; give it more, or a lower min_count."
        )
    return LibraryTokenizer(inner, "words", **({} if special else NO_ROLES))


NO_ROLES: Any = dict.fromkeys(("bos", "eos", "pad", "mask"))


class _Seen:
    """The texts, checked as they pass."""

    def __init__(self, texts: Iterable[str]):
        self.texts, self.letters = texts, 0

    def __iter__(self) -> Any:
        for text in self.texts:
            utf8(text)
            self.letters += len(text)
            yield text


def _bytes_of(model: Any, lower: bool) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    inner = Tokenizer(model)
    if lower:
        inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _bpe(texts: Any, vocab_size: int, special: bool, lower: bool) -> Any:
    from tokenizers import models, pre_tokenizers, trainers

    inner = _bytes_of(models.BPE(), lower)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = list(SPECIAL) if special else []
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    return inner


def _unigram(texts: Any, vocab_size: int, special: bool, lower: bool) -> Any:
    from tokenizers import AddedToken, models, normalizers, pre_tokenizers

    counts: Counter[str] = Counter()
    cut, plain = pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Lowercase()
    for text in texts:
        counts.update(word for word, _ in cut.pre_tokenize_str(plain.normalize_str(text) if lower else text))
    names = SPECIAL if special else ()
    pieces = learn(counts.items(), vocab_size - len(names), pre_tokenizers.ByteLevel.alphabet())
    inner = _bytes_of(models.Unigram([*((name, 0.0) for name in names), *pieces]), lower)
    inner.add_special_tokens([AddedToken(name, special=True) for name in names])
    return inner


TRAINERS: dict[str, Callable[[Any, int, bool, bool], Any]] = {"bpe": _bpe, "unigram": _unigram, "wordpiece": wordpiece}
