"""Baselines: what a logistic regression makes of the features a graph model is given, and of their means over neighbours.

    features     softmax regression on x_i
    1 hop, ...   the same on the mean of x over i's neighbours (along each meta-path, side by side, where there are several)

Whatever attention gains must be gained over these (Shchur et al. 2018 on how much the plainest models reach). L2-regularised,
its strength chosen on validation rows (training rows where there are none); test rows are looked at once.

    python -m zoo report baselines data=acm data.labels_per_class=20
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.errors import ZooError

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C, the inverse of the penalty


def run(words: Sequence[str]) -> None:
    """Fit, and print accuracy and macro-F1 of the test rows."""
    from sklearn.metrics import accuracy_score, f1_score

    from zoo import conf
    from zoo.config import instantiate, plain
    from zoo.console import table
    from zoo.training import folders

    words = list(words)
    if wrong := [word for word in words if not word.startswith(("data=", "data."))]:
        raise ZooError(f"{wrong[0]!r} is not a setting of this study; it takes data=... and data.key=...")
    folders.register()
    data = instantiate(plain(conf.compose_train(["paths.run=.", *(words or ["data=digits_knn"])]))["data"])
    if not {"graph", "heterogeneous_graph"} & set(data.modalities):
        raise ZooError(
            f"{type(data).__name__} is not a graph; these baselines are for graphs, take data=cora or the like."
        )
    data.prepare_data()
    data.setup()
    graph = data.example()
    if data.multilabel or data.source.multi_graph:
        raise ZooError("These baselines are for one graph with one label a node; this set is another kind.")
    labels, rows = graph.labels.numpy(), {part: index.numpy() for part, index in graph.rows.items()}
    lines = []
    for name, x in _features(graph).items():
        model = _fit(x, labels, rows)
        said = model.predict(x[rows["test"]])
        accuracy = accuracy_score(labels[rows["test"]], said)
        macro = f1_score(labels[rows["test"]], said, average="macro")
        lines.append((name, f"accuracy {100 * accuracy:.2f} %   macro-F1 {100 * macro:.2f} %   (C = {model.C:g})"))
    table(lines, data.describe())


def _features(graph: Any) -> dict[str, np.ndarray]:
    """The nodes' own features, and their means over neighbours."""
    paths = [kind for kind in getattr(graph, "edge_types", []) if kind[0] == kind[2]]
    target = paths[0][0] if paths else None
    x = (graph[target].x if target else graph.x).to_dense()
    if not x.is_floating_point() or x.ndim != 2:
        raise ZooError("These baselines need features [N, F] of the nodes; this set has none.")
    edges = [graph[path].edge_index for path in paths] or [graph.edge_index]
    own = x.numpy() / max(float(x.std()), 1e-12)  # so that one set of strengths serves all data
    means = [_mean(own, edge_index.numpy()) for edge_index in edges]
    found = {"features": own, "mean over neighbours": np.concatenate(means, 1)}
    return found | {"both": np.concatenate([own, *means], 1)}


def _mean(x: np.ndarray, edge_index: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_array

    source, target = edge_index
    adjacency = csr_array((np.ones(len(source), x.dtype), (target, source)), shape=(len(x), len(x)))
    return (adjacency @ x) / np.maximum(adjacency.sum(1), 1)[:, None]


def _fit(x: np.ndarray, labels: np.ndarray, rows: dict[str, np.ndarray]) -> Any:
    """The regression whose strength is best on validation rows."""
    from sklearn.linear_model import LogisticRegression

    chosen = rows["val"] if len(rows["val"]) else rows["train"]
    models = [LogisticRegression(C=c, max_iter=1000).fit(x[rows["train"]], labels[rows["train"]]) for c in STRENGTHS]
    return max(models, key=lambda model: model.score(x[chosen], labels[chosen]))
