"""What counting words and a linear model of a window reach on tagged words; F1 of whole entities, as seqeval counts strictly.

majority: a word has the tag that it has most often in the training part, O if it is not there. window: softmax regression on
the word, its shape, its beginning and its end, two words and shapes to either side, and the pairs with its neighbours.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from zoo.text.entities import OUTSIDE

#: scikit-learn's C, of which the best on validation data is taken.
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
WINDOW, AFFIX = 2, 3
#: (words, tags) of a sentence.
Sentence = tuple[Sequence[str], Sequence[str]]


def run(data: Any) -> None:
    """Fit on the training part, choose on the validation part, print what both give on the test part."""
    from zoo.console import table

    data.prepare_data()
    data.setup()
    corpus = data.loaded().corpus
    parts = {
        stage: [(each.words, [corpus.classes[tag] for tag in each.tags]) for each in corpus.part(stage)]
        for stage in ("train", "val", "test")
    }
    window = regression(parts["train"], parts["val"] or parts["train"])
    rows = [("majority", majority(parts["train"]), ""), ("window", window, f"C = {window.strength:g}")]
    lines = []
    for name, tags, chosen in rows:
        scores = [f"{100 * score:.2f} %" for score in f1(parts["test"], tags)]
        lines.append((name, *scores, f"{100 * f1(parts['val'], tags)[0]:.2f} %" if parts["val"] else "", chosen))
    table(lines, data.describe(), ("", "F1", "precision", "recall", "validation F1", ""))


def f1(sentences: Sequence[Sentence], tags: Any) -> tuple[float, float, float]:
    """F1, precision and recall of what `tags(sentences)` says."""
    from zoo.tasks.token_classification import agreed

    right, said, there = agreed([each for _, each in sentences], tags([words for words, _ in sentences]))
    return 2 * right / max(said + there, 1), right / max(said, 1), right / max(there, 1)


def majority(train: Sequence[Sentence]) -> Any:
    """Each word's most frequent tag."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in train:
        for word, tag in zip(words, tags, strict=True):
            counted[word][tag] += 1
    most = {word: tags.most_common(1)[0][0] for word, tags in counted.items()}
    return lambda sentences: [[most.get(word, OUTSIDE) for word in words] for words in sentences]


class Window:
    """A linear model of a word and those around it; called with sentences it gives their tags."""

    def __init__(self, vectors: Any, model: Any):
        self.vectors, self.model, self.strength = vectors, model, model.C

    def __call__(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        if not sentences:
            return []
        said = iter(self.model.predict(self.vectors.transform(_features(sentences))).tolist())
        return [[next(said) for _ in words] for words in sentences]


def regression(train: Sequence[Sentence], chosen: Sequence[Sentence]) -> Window:
    """The L2-regularised regression whose strength has the best F1 on `chosen`."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = DictVectorizer()
    x, y = vectors.fit_transform(_features([words for words, _ in train])), [tag for _, tags in train for tag in tags]
    models = [Window(vectors, LogisticRegression(C=c, max_iter=300).fit(x, y)) for c in STRENGTHS]
    return max(models, key=lambda model: f1(chosen, model)[0])


def _features(sentences: Sequence[Sequence[str]]) -> list[dict[str, int]]:
    return [_of_word(words, i) for words in sentences for i in range(len(words))]


def _of_word(words: Sequence[str], at: int) -> dict[str, int]:
    def word(i: int) -> str:
        return words[i] if 0 <= i < len(words) else "<>"

    around = range(-WINDOW, WINDOW + 1)
    found = [f"word {i} {word(at + i)}" for i in around] + [f"shape {i} {_shape(word(at + i))}" for i in around]
    found += [f"begins {word(at)[:AFFIX]}", f"ends {word(at)[-AFFIX:]}"]
    found += [f"pair -1 {word(at - 1)} {word(at)}", f"pair 1 {word(at)} {word(at + 1)}"]
    return dict.fromkeys(found, 1)


def _shape(word: str) -> str:
    """Aa, 0, __a__(): kinds of letters, each run of one kind once but for what is neither letter nor digit."""
    kinds = re.sub(r"\d", "0", re.sub(r"[^\W\d_A-Z]", "a", re.sub(r"[A-Z]", "A", word)))
    return "".join(kind if kind in "aA0" else kind * len(list(run)) for kind, run in groupby(kinds))
