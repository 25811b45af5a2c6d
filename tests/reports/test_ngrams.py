"""Counting and compressing: the baselines of a language model."""

import gzip
import lzma
import math
import random
from collections import Counter

import pytest

from zoo.reports.ngrams import WittenBell
from zoo.training.compressors import bits_per_byte, joined

TRAIN = ["the cat sat on the mat", "the dog ate the cat", ""]
TEST = ["the cat ate", "a zebra\n", "the"]


def by_hand(train: list[bytes], test: list[bytes], order: int) -> float:
    """The recursion as written, a byte at a time, with a dict of each context."""
    after: dict[bytes, Counter] = {}
    for text in train:
        for i in range(len(text)):
            for k in range(min(i, order - 1) + 1):
                after.setdefault(text[i - k : i], Counter())[text[i]] += 1

    def p(byte: int, context: bytes) -> float:
        lower = p(byte, context[1:]) if context else 1 / 256
        if context not in after:
            return lower
        counts = after[context]
        return (counts[byte] + len(counts) * lower) / (counts.total() + len(counts))

    return sum(-math.log2(p(x[i], x[max(i - order + 1, 0) : i])) for x in test for i in range(len(x)))


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_witten_bell_is_its_recursion(order):
    bits, size = WittenBell(TRAIN).bits(TEST)
    train, test = ([text.encode() for text in texts] for texts in (TRAIN, TEST))
    assert size == sum(map(len, test))
    assert bits[order - 1] == pytest.approx(by_hand(train, test, order), rel=1e-12)


def test_probabilities_of_all_bytes_add_up_to_one():
    counted = WittenBell(TRAIN, 3)
    total = [0.0, 0.0, 0.0]
    for byte in range(256):
        after, _ = counted.bits([b"th" + bytes([byte])])
        before, _ = counted.bits([b"th"])
        total = [t + 2 ** (b - a) for t, a, b in zip(total, after, before, strict=True)]
    assert total == pytest.approx([1, 1, 1])


def test_nothing_counted_says_a_byte_in_256():
    assert WittenBell([]).bits(["abc"]) == ([24.0] * 6, 3)
    assert WittenBell(TRAIN).bits([])[1] == 0


def test_compressors_are_those_of_the_shell():
    """What is added to the training part; gzip's and xz's own headers cancel."""
    draw = random.Random(0)
    words = ["alpha", "beta", "gamma", "delta", "\u00fc"]
    train, test = ([" ".join(draw.choices(words, k=300)) for _ in range(n)] for n in (4, 2))
    before, after = joined(train, 10**6), joined(test, 10**6)
    assert before == "\n".join([*train, ""]).encode()
    found = bits_per_byte(train, test)
    for name, compress in {
        "gzip -9": lambda x: gzip.compress(x, 9),
        "xz": lambda x: lzma.compress(x, preset=9),
    }.items():
        bits = 8 * (len(compress(before + after)) - len(compress(before))) / len(after)
        assert found[name] == pytest.approx(bits, abs=0.05) and 0 < bits < 8
    assert bits_per_byte(train, []) == {}


def test_of_a_large_corpus_the_end_and_the_beginning():
    texts = [str(i) for i in range(1000)]
    whole = "\n".join([*texts, ""]).encode()
    assert joined(texts, 100, last=True) == whole[-100:] and joined(texts, 100) == whole[:100]
    assert joined(iter(texts), 10**6, last=True) == joined(iter(texts), 10**6) == whole
