"""Baselines: what the plainest models reach on a set. Whatever attention gains must be gained over these.

    python -m zoo report baselines data=acm data.labels_per_class=20    logistic regression on features of nodes, and on means
    python -m zoo report baselines data=python_docs                     byte n-grams, gzip, xz: bits a byte of the test part
    python -m zoo report baselines data=glosses                         logistic regression on tf-idf of words and pairs
    python -m zoo report baselines data=doc_terms                       a tag a word, a linear model of a window: F1 of entities
    python -m zoo report baselines data=stories                         answers for which no question is read: exact match, F1

What is chosen (a strength, an order) is chosen on validation data; the test part is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from zoo.errors import ZooError

#: What data can be read as -> the file here with its baselines: `run(data)`, of a data module that is not set up.
ROOMS = {"graph": "graphs", "heterogeneous_graph": "graphs", "text": "texts"}
#: scikit-learn's C, the inverse of the penalty, of which the best on validation data is taken.
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)


def run(words: Sequence[str]) -> None:
    """Fit, and print what the test part gives."""
    from zoo import conf
    from zoo.config import instantiate, plain
    from zoo.training import folders

    words = list(words)
    taken = ("data=", "data.", "tokenizer=", "tokenizer.")
    if wrong := [word for word in words if not word.startswith(taken)]:
        raise ZooError(f"{wrong[0]!r} is not a setting of this study; it takes data=... and data.key=...")
    folders.register()
    data = instantiate(plain(conf.compose_train(["paths.run=.", *(words or ["data=digits_knn"])]))["data"])
    room = next((ROOMS[each] for each in data.modalities if each in ROOMS), None)
    if room is None:
        raise ZooError(
            f"{type(data).__name__} is neither a graph nor text, which these baselines are for; take data=cora, "
            "data=python_docs or the like."
        )
    import_module(f"{__name__}.{room}").run(data)


def regression(x: Any, labels: Any, rows: dict[str, Any]) -> Any:
    """The L2-regularised logistic regression whose strength is best on validation rows (training rows where there are none)."""
    from sklearn.linear_model import LogisticRegression

    chosen = rows["val"] if len(rows["val"]) else rows["train"]
    models = [LogisticRegression(C=c, max_iter=1000).fit(x[rows["train"]], labels[rows["train"]]) for c in STRENGTHS]
    return max(models, key=lambda model: model.score(x[chosen], labels[chosen]))


def scored(model: Any, x: Any, labels: Any, rows: Any) -> str:
    """Accuracy and macro-F1 of some rows, and the strength."""
    from sklearn.metrics import accuracy_score, f1_score

    said = model.predict(x[rows])
    accuracy, macro = accuracy_score(labels[rows], said), f1_score(labels[rows], said, average="macro")
    return f"accuracy {100 * accuracy:.2f} %   macro-F1 {100 * macro:.2f} %   (C = {model.C:g})"
