"""The vocabulary of a unigram model (Kudo 2018), the same of the same text.

The library's trainer goes through its words in the order of a hash table with random keys, and its scores differ by some
hundredths from run to run. A tokenizer that is made again has to be the one that a checkpoint was trained with.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

LONGEST = 16  # bytes of a piece
WORD = 256  # of a word; a longer run of the same is cut
MOST = 200_000  # words that are learned from, the most frequent ones
SEEDS = 10  # pieces to begin with, as multiples of those that are kept
SHRINK = 0.75
NEVER = -1e4  # the logarithm of the probability of what a lattice lacks


def learn(words: Iterable[tuple[str, int]], size: int, alphabet: list[str]) -> list[tuple[str, float]]:
    """Pieces and the logarithms of their probabilities, likeliest first.

        p(word) = sum over its cuts into pieces of the product of p(piece)

    is made likelier by EM in turn with leaving out the pieces whose absence costs least, until `size` are left.

    Args:
        words: and how often each stands in the text, in any order.
        size: of the vocabulary, at most; the alphabet is always in it.
        alphabet: all characters there are.
    """
    counts: Counter[str] = Counter()
    for word, count in words:
        for first in range(0, len(word), WORD):
            counts[word[first : first + WORD]] += count
    ordered = sorted(sorted(counts, key=lambda word: (-counts[word], word))[:MOST])
    pieces = _seeds(ordered, counts, SEEDS * size, alphabet)
    lattices = _lattices(ordered, np.array([counts[word] for word in ordered], float), pieces)
    own = _lattices(pieces, np.ones(len(pieces)), pieces)
    kept = np.arange(len(pieces))
    single = np.array([len(piece) == 1 for piece in pieces])
    scores = np.full(len(pieces), -np.log(len(pieces)))
    while True:
        for _ in range(2):
            expected = _expect(lattices, scores, len(pieces))
            scores = _maximise(expected, single, kept)
        if len(kept) <= size:
            break
        cost = np.where(single, np.inf, expected * (scores - _without(own, scores, len(pieces))))[kept]
        wanted = max(size, int(len(kept) * SHRINK), int(single.sum()))
        order = np.lexsort((kept, -cost.round(6)))[:wanted]
        kept = np.sort(kept[order])
        gone = np.ones(len(pieces), bool)
        gone[kept] = False
        scores[gone] = NEVER
        if wanted == int(single.sum()):
            size = wanted
    rounded = scores.round(6)  # digits that a file gives back exactly
    likeliest = sorted(kept.tolist(), key=lambda piece: (-rounded[piece], pieces[piece]))
    return [(pieces[piece], float(rounded[piece])) for piece in likeliest]


def _seeds(words: list[str], counts: Counter[str], most: int, alphabet: list[str]) -> list[str]:
    """The alphabet, and the substrings that cover most of the text."""
    found: Counter[str] = Counter()
    for word in words:
        count = counts[word]
        for first in range(len(word)):
            for end in range(first + 2, min(first + LONGEST, len(word)) + 1):
                found[word[first:end]] += count
    often = [(piece, count) for piece, count in found.items() if count > 1]
    often.sort(key=lambda item: (-item[1] * len(item[0]), item[0]))
    return [*sorted(alphabet), *(piece for piece, _ in often[:most])]


#: (words [n], how often each [n], ids of the pieces [n, length, LONGEST] that begin at a place, by length; -1: none)
Lattice = tuple[np.ndarray, np.ndarray, np.ndarray]


def _lattices(words: list[str], counts: np.ndarray, pieces: list[str]) -> list[Lattice]:
    """All words of a length together."""
    ids = {piece: id for id, piece in enumerate(pieces)}
    by_length: dict[int, list[int]] = {}
    for number, word in enumerate(words):
        by_length.setdefault(len(word), []).append(number)
    found = []
    for length, numbers in sorted(by_length.items()):
        spans = np.full((len(numbers), length, LONGEST), -1, np.int32)
        for row, number in enumerate(numbers):
            word = words[number]
            for first in range(length):
                for end in range(first + 1, min(first + LONGEST, length) + 1):
                    spans[row, first, end - first - 1] = ids.get(word[first:end], -1)
        found.append((np.array(numbers), counts[numbers], spans))
    return found


def _expect(lattices: list[Lattice], scores: np.ndarray, size: int) -> np.ndarray:
    """How often each piece is expected in the text: forward and backward through each word's cuts."""
    padded = np.append(scores, NEVER)  # of id -1
    expected = np.zeros(size + 1)
    for _, counts, spans in lattices:
        steps = padded[spans]
        rows, length = spans.shape[:2]
        before, behind = np.full((rows, length + 1), NEVER), np.full((rows, length + 1), NEVER)
        before[:, 0] = behind[:, length] = 0
        for end in range(1, length + 1):
            for width in range(1, min(LONGEST, end) + 1):
                reached = before[:, end - width] + steps[:, end - width, width - 1]
                before[:, end] = np.logaddexp(before[:, end], reached)
        for first in range(length - 1, -1, -1):
            for width in range(1, min(LONGEST, length - first) + 1):
                reached = behind[:, first + width] + steps[:, first, width - 1]
                behind[:, first] = np.logaddexp(behind[:, first], reached)
        for first in range(length):
            for width in range(1, min(LONGEST, length - first) + 1):
                share = before[:, first] + steps[:, first, width - 1] + behind[:, first + width] - before[:, length]
                expected += np.bincount(
                    spans[:, first, width - 1] % (size + 1), counts * np.exp(np.minimum(share, 0)), size + 1
                )
    return expected[:size]


def _maximise(expected: np.ndarray, single: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The logarithms of the shares; a letter that hardly occurs keeps a little."""
    mass = np.zeros_like(expected)
    mass[kept] = np.maximum(expected[kept], np.where(single[kept], 0.1, 1e-6))
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(mass / mass.sum()), NEVER)


def _without(own: list[Lattice], scores: np.ndarray, size: int) -> np.ndarray:
    """The best that each piece can be put together of others for."""
    padded = np.append(scores, NEVER)
    found = np.zeros(size)
    for numbers, _, spans in own:
        steps = padded[spans]
        length = spans.shape[1]
        if length <= LONGEST:
            steps[:, 0, length - 1] = NEVER  # the piece itself
        best = np.full((len(numbers), length + 1), 10 * NEVER)
        best[:, 0] = 0
        for end in range(1, length + 1):
            for width in range(1, min(LONGEST, end) + 1):
                best[:, end] = np.maximum(best[:, end], best[:, end - width] + steps[:, end - width, width - 1])
        found[numbers] = best[:, length]
    return found
