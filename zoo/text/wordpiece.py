"""WordPiece (Schuster and Nakajima 2012), BERT's uncased one, the same of the same text."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

WORDPIECE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ALPHABET = 1000  # letters that wordpiece knows, the most frequent ones


def wordpiece(texts: Iterable[str], vocab_size: int, special: bool, lower: bool) -> Any:
    """A tokenizer of the library; lower: it always does."""
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
