"""What a logistic regression makes of the features a graph model is given, and of their means over neighbours.

    features     softmax regression on x_i
    1 hop, ...   the same on the mean of x over i's neighbours (along each meta-path, side by side, where there are several)

Shchur et al. 2018 show how much the plainest models reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.reports.baselines import regression, scored


def run(data: Any) -> None:
    """Fit, and print accuracy and macro-F1 of the test rows."""
    from zoo.console import table

    data.prepare_data()
    data.setup()
    graph = data.example()
    if data.multilabel or data.source.multi_graph:
        raise ZooError("These baselines are for one graph with one label a node; this set is another kind.")
    labels, rows = graph.labels.numpy(), {part: index.numpy() for part, index in graph.rows.items()}
    lines = [
        (name, scored(regression(x, labels, rows), x, labels, rows["test"])) for name, x in _features(graph).items()
    ]
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
