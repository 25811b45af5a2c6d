"""Tokenizers made of training text: `tokenizer=char | bpe | unigram | wordpiece`; byte needs none."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from zoo.errors import ZooError, nearest, one_line
from zoo.text.base import Tokenizer, utf8
from zoo.text.library import LibraryTokenizer
from zoo.text.plain import SPECIAL, Bytes, Characters
from zoo.text.unigram import learn

WORDPIECE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ALPHABET = 1000  # letters that wordpiece knows, the most frequent ones
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
    except Exception as error:  # the library has no error of its own
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
    from tokenizers import AddedToken, models, pre_tokenizers

    counts: Counter[str] = Counter()
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in texts:
        counts.update(word for word, _ in cut.pre_tokenize_str(text))
    names = SPECIAL if special else ()
    pieces = learn(counts.items(), vocab_size - len(names), pre_tokenizers.ByteLevel.alphabet())
    inner = _bytes_of(models.Unigram([*((name, 0.0) for name in names), *pieces]))
    inner.add_special_tokens([AddedToken(name, special=True) for name in names])
    return inner


def _wordpiece(texts: Any, vocab_size: int, special: bool) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    def empty(vocab: dict[str, int]) -> Any:
        inner = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
        inner.normalizer = normalizers.BertNormalizer()
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        inner.decoder = decoders.WordPiece()
        return inner

    learner = empty({})
    words: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for text in texts:
        plain = learner.normalizer.normalize_str(text)
        words.update(word for word, _ in learner.pre_tokenizer.pre_tokenize_str(plain))
    for word, count in words.items():
        for letter in word:
            letters[letter] += count
    # The library numbers the letters in the order of a hash table with random keys, and where two pairs are as frequent takes
    # the one of lower numbers. As special tokens they have the numbers that they are given.
    alphabet = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[: min(ALPHABET, vocab_size // 4)])
    names = WORDPIECE if special else ("[UNK]",)
    fixed = [*names, *alphabet, *(f"##{letter}" for letter in alphabet)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=fixed, show_progress=False)
    known = set(alphabet)
    learner.train_from_iterator(
        (word for word in sorted(words) if known.issuperset(word) for _ in range(words[word])), trainer
    )
    inner = empty(learner.get_vocab())
    inner.add_special_tokens([AddedToken(name, special=True) for name in names])
    if special:
        ends = [(name, inner.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return inner


TRAINERS: dict[str, Callable[[Any, int, bool], Any]] = {"bpe": _bpe, "unigram": _unigram, "wordpiece": _wordpiece}
