"""What counting, compressing and weighing words reach on texts.

Of texts alone: bits a byte of the test part, under interpolated byte n-grams (the order chosen on the validation part), and
what gzip and xz add for it behind the training part. Of texts with labels, a text a row: logistic regression on tf-idf of
words and pairs of words. Of words with tags: see `zoo.reports.baselines.tags`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.reports.baselines import questions, regression, scored, tags
from zoo.reports.ngrams import WittenBell
from zoo.training.compressors import bits_per_byte

MOST = 2**24  # bytes of each part that are counted: tables of what was seen lie in memory


def run(data: Any) -> None:
    """Print bits a byte, or accuracy where texts have labels."""
    corpus = data.load()
    if corpus.targets == "tags" and data.pack is None:
        return tags.run(data)
    if corpus.targets == "span" and data.pack is None:
        return questions.run(data)
    if corpus.labels is None or data.pack is not None:
        return alone(corpus, type(data).__name__)
    data.prepare_data()
    data.setup()  # which rows are used
    labelled(data)


def alone(corpus: Any, name: str) -> None:
    """n-grams of each order, the chosen one marked; then compressors."""
    from zoo.console import table

    val, test = figures(corpus.texts)
    best = min(val, key=val.__getitem__) if val else None
    rows = []
    for order, bits in test.items():
        mark = "chosen on the validation part" if order == best else ""
        rows.append((f"{order}-gram of bytes", f"{bits:.4f}", f"{val[order]:.4f}" if val else "", mark))
    for compressor, bits in bits_per_byte(corpus.texts("train"), corpus.texts("test")).items():
        rows.append((compressor, f"{bits:.4f}", "", "behind the training part"))
    table(rows, f"{name}: bits a byte", ("", "test", "validation", ""))


def figures(texts: Any) -> tuple[dict[int, float], dict[int, float]]:
    """Bits a byte of validation and test part by order; empty of a part without text.

    Args:
        texts: stage -> its texts.
    """
    counted = WittenBell(_first(texts("train")))
    found = []
    for stage in ("val", "test"):
        bits, size = counted.bits(_first(texts(stage)))
        found.append({order: each / size for order, each in enumerate(bits, 1)} if size else {})
    if not found[1]:
        raise ZooError("The test part holds no text, and these baselines are measured on it; give data.split another.")
    return found[0], found[1]


def labelled(data: Any) -> None:
    """tf-idf of words and pairs, as the training texts have them: sublinear counts, rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from zoo.console import table

    texts, labels, rows = _rows(data)
    if labels.ndim > 1:
        raise ZooError("These baselines are for one label a text; this set has several.")
    weigh = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    weigh.fit([texts[row] for row in rows["train"]])
    x = weigh.transform(texts)
    table([("words and pairs", scored(regression(x, labels, rows), x, labels, rows["test"]))], data.describe())


def _rows(data: Any) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    """(all texts, their labels, which are used of each part)."""
    corpus, texts, rows = data.loaded().corpus, list[str](), {}
    labels = []
    for stage in ("train", "val", "test"):
        rows[stage] = len(texts) + data.rows(stage).numpy()
        texts += ["".join(document.pieces()) for document in corpus.part(stage)]
        labels.append(corpus.labels[corpus.splits[stage]].numpy())
    return texts, np.concatenate(labels), rows


def _first(texts: Iterable[str]) -> Iterable[str]:
    left = MOST
    for text in texts:
        if left <= 0:
            return
        yield text
        left -= len(text.encode())
