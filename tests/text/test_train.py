"""Tokenizers are made of the texts they are given, the same of the same texts, and refuse what they cannot be made of."""

import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.text import train_tokenizer, unigram

WORDS = "the cat sat on the mat and the dog sat on the log while other cats and dogs looked at them"
TEXT = " ".join(a + " " + b for a, b in itertools.product(WORDS.split(), WORDS.split()))
SIZES = {"char": None, "bpe": 300, "unigram": 300, "wordpiece": 120}


@pytest.mark.parametrize("kind", SIZES)
def test_the_same_of_the_same_texts(kind):
    """Also in another process, whose hashes are others."""
    made = train_tokenizer(kind, [TEXT, "zebra é"], SIZES[kind])
    assert made == train_tokenizer(kind, iter([TEXT, "zebra é"]), SIZES[kind])
    code = f"""
from zoo.text import train_tokenizer
from tests.text.test_train import TEXT
print(train_tokenizer({kind!r}, [TEXT, "zebra é"], {SIZES[kind]}).fingerprint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == made.fingerprint


@pytest.mark.parametrize("kind", SIZES)
def test_other_texts_make_another(kind):
    assert train_tokenizer(kind, [TEXT], SIZES[kind]) != train_tokenizer(kind, [TEXT + " zebra"], SIZES[kind])


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_vocabulary_is_at_most_as_asked(kind):
    made = train_tokenizer(kind, [TEXT] * 2, 290)
    assert made.vocab_size <= 290 and len(made.encode(TEXT)) < len(TEXT) / 2
    assert max(made.encode(TEXT)) < made.vocab_size


@pytest.mark.parametrize("kind", ["byte", *SIZES])
def test_special_tokens_or_none(kind):
    with_them, without = (train_tokenizer(kind, [TEXT], SIZES.get(kind), special=special) for special in (True, False))
    assert None not in (with_them.bos, with_them.eos, with_them.pad, with_them.mask)
    assert {without.bos, without.eos, without.pad, without.mask} == {None}
    assert without.document("the cat") == without.encode("the cat") == without.prompt("the cat")
    assert with_them.decode([with_them.bos, *with_them.encode("the cat"), with_them.eos]) == "the cat"


@pytest.mark.parametrize(
    ("kind", "texts", "size", "said"),
    [
        ("bqe", ["a"], 300, "did you mean 'bpe'"),
        ("bpe", ["a"], None, "vocab_size=None is not a number"),
        ("bpe", ["a"], 259, "not within 260 to"),
        ("unigram", ["a"], 10**7, "not within 260 to 1,000,000"),
        ("bpe", [], 300, "no text to learn from"),
        ("unigram", [""], 300, "no text to learn from"),
        ("char", [], None, "no text"),
        ("bpe", ["a\ud800"], 300, "no Unicode"),
    ],
)
def test_what_cannot_be_made(kind, texts, size, said):
    with pytest.raises(ZooError, match=said):
        train_tokenizer(kind, texts, size)


def test_expected_counts_are_those_of_all_cuts():
    """Forward and backward sums against going through every cut of a word."""
    pieces = ["a", "b", "ab", "ba", "aba", "abab"]
    scores = np.log([0.3, 0.2, 0.2, 0.1, 0.15, 0.05])
    words, counts = ["abab", "aba", "b"], np.array([2.0, 1.0, 3.0])
    expected = unigram._expect(unigram._lattices(words, counts, pieces), scores, len(pieces))
    naive = np.zeros(len(pieces))
    for word, count in zip(words, counts, strict=True):
        cuts = []
        for bars in itertools.product([0, 1], repeat=len(word) - 1):
            ends = [0, *[i + 1 for i, bar in enumerate(bars) if bar], len(word)]
            parts = [word[a:b] for a, b in itertools.pairwise(ends)]
            if set(parts) <= set(pieces):
                cuts.append([pieces.index(part) for part in parts])
        shares = np.array([math.exp(sum(scores[cut])) for cut in cuts])
        for cut, share in zip(cuts, shares / shares.sum(), strict=True):
            np.add.at(naive, cut, count * share)
    np.testing.assert_allclose(expected, naive, atol=1e-12)


def test_library_cuts_by_our_scores():
    """A word is cut into the likeliest pieces."""
    made = train_tokenizer("unigram", [TEXT], 300)
    vocab = dict(json.loads(made.to_json())["model"]["vocab"])
    word = "Ġdogs"
    best = max(
        sum(vocab.get(word[a:b], -1e9) for a, b in itertools.pairwise([0, *cut, len(word)]))
        for n in range(len(word))
        for cut in itertools.combinations(range(1, len(word)), n)
    )
    ids = made.encode(" dogs")
    assert sum(vocab[made.inner.id_to_token(id)] for id in ids) == pytest.approx(best)
