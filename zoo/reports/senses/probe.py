"""Is the sense in the vector? A logistic regression, told on training frames and asked on those held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: scikit-learn's C, weakest first.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
FOLDS = 4


@dataclass(frozen=True)
class Answers:
    """Of one seed, kind of vectors and word: right ones among the sentences of so many held-out frames."""

    seed: int
    vectors: str
    word: str
    sentences: int
    right: int
    frames: int

    @property
    def accuracy(self) -> float:
        return self.right / self.sentences


@dataclass(frozen=True)
class Row:
    """Of one kind of vectors over all seeds: by word, of all of them, and Wilson's 95 % interval.

    The interval counts frames, not sentences, as what was drawn: sentences of one frame are alike.
    """

    vectors: str
    by_word: tuple[float, ...]
    accuracy: float
    interval: tuple[float, float]
    frames: int

    def cells(self) -> list[str]:
        low, high = self.interval
        return [self.vectors, *(f"{each:.1%}" for each in (*self.by_word, self.accuracy)), f"{low:.0%} to {high:.0%}"]


def ask(learned: Any, seed: int) -> list[Answers]:
    """Every kind of vectors about every word."""
    found = []
    told, asked = learned.data.sentences("train"), learned.data.sentences("test")
    for name, vectors in learned.kinds.items():
        for word in learned.words:
            train, test = ([each for each in part if each.noun == word] for part in (told, asked))
            guessed = predict(vectors(train), senses(train), vectors(test), folds(train))
            right = guessed == senses(test)
            frames = len({(each.sense, each.frame) for each in test})
            found.append(Answers(seed, name, word, len(test), int(right.sum()), frames))
    return found


def predict(train: np.ndarray, labels: np.ndarray, test: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Classes of `test` by scikit-learn's logistic regression on columns of deviation 1; how much its weights are held back is
    chosen among training frames, by leaving out those of one `fold` after the other."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(strength: float, rows: Any) -> Any:
        made = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        return made.fit(train[rows], labels[rows])

    def right(strength: float) -> float:
        parts = [(fitted(strength, fold != each), fold == each) for each in np.unique(fold)]
        return float(np.mean([made.score(train[rows], labels[rows]) for made, rows in parts]))

    best = max(STRENGTHS, key=right)  # of equals the first, which is held back most
    return fitted(best, slice(None)).predict(test)


def folds(sentences: Sequence[Any]) -> np.ndarray:
    """A number for each, the same for all sentences of a frame; each fold has frames of both senses."""
    frames = sorted({(each.sense, each.frame) for each in sentences})
    of_sense = {frame: [other for other in frames if other[0] == frame[0]].index(frame) for frame in frames}
    return np.array([of_sense[each.sense, each.frame] % FOLDS for each in sentences])


def senses(sentences: Sequence[Any]) -> np.ndarray:
    return np.array([each.sense for each in sentences])


def summarise(answers: Sequence[Answers]) -> list[Row]:
    """A row a kind of vectors, in the order in which they first came."""
    from scipy.stats import binomtest

    rows = []
    for name in dict.fromkeys(each.vectors for each in answers):
        own = [each for each in answers if each.vectors == name]
        by_word = [[each for each in own if each.word == word] for word in dict.fromkeys(each.word for each in own)]
        accuracy, frames = share(own), sum(each.frames for each in own)
        interval = binomtest(round(accuracy * frames), frames).proportion_ci(method="wilson")
        rows.append(
            Row(name, tuple(map(share, by_word)), accuracy, (float(interval.low), float(interval.high)), frames)
        )
    return rows


def share(answers: Sequence[Answers]) -> float:
    """Of right ones."""
    return sum(each.right for each in answers) / sum(each.sentences for each in answers)
