"""Whether graphs can be what they claim: each refusal names the node or the edge. Every set passes through here."""

from typing import Any

import torch
from torch import Tensor

from datamodules.graphs.collection import GraphCollection
from zoo.errors import ZooError


def check(found: GraphCollection) -> GraphCollection:
    """The graphs, if they are sound.

    Raises: ZooError, with the first wrong place: an edge to a node that is not there, wrong types and shapes, features
        that are not finite, labels that are none of the classes, a graph without nodes, splits that share rows.
    """
    if not found.graphs:
        raise ZooError("there is no graph at all; give one or more.")
    for number, graph in enumerate(found.graphs):
        name = f"graph {number}: " if found.multi_graph else ""
        if found.target is None:
            _plain(graph, found, name)
        else:
            _typed(graph, found)
    check_splits(found.splits, len(found.graphs) if found.multi_graph else len(found.first.labels), found.multi_graph)
    return found


def _plain(graph: Any, found: GraphCollection, name: str) -> None:
    size = check_features(graph.x, name, found.featureless)
    check_edges(graph.edge_index, size, size, name)
    edges = graph.edge_index.shape[1]
    check_edge_attr(graph.get("edge_attr"), edges, name)
    kind = graph.get("edge_type")
    if kind is not None and (kind.dtype != torch.int64 or kind.shape != (edges,) or (edges and kind.min() < 0)):
        raise ZooError(f"{name}edge_type is {_kind(kind)}; it must be int64 [E], E = {edges}, from 0 on.")
    check_labels(graph.labels, 1 if found.graph_level else size, len(found.classes), found.targets, name)


def _typed(graph: Any, found: GraphCollection) -> None:
    sizes = {}
    for kind in graph.node_types:
        x = graph[kind].x
        sizes[kind] = check_features(x, f"{kind}: ", ids=x.dim() == 1)
    for edge in graph.edge_types:
        check_edges(graph[edge].edge_index, sizes[edge[0]], sizes[edge[2]], f"{'-'.join(edge)}: ")
    assert found.target
    check_labels(graph.labels, sizes[found.target], len(found.classes), found.targets, f"{found.target}: ")


def check_features(x: Tensor, name: str = "", ids: bool = False) -> int:
    """The number of nodes, if x is [N, F] of finite numbers, or 0..N-1 where these stand in for features."""
    if x.shape[0] == 0:
        raise ZooError(f"{name}the graph has no nodes; x has shape {tuple(x.shape)}, give at least one row.")
    if ids:
        if not torch.equal(x, torch.arange(len(x))):
            raise ZooError(f"{name}x is {_kind(x)}, but nodes without features are numbered 0 to {len(x) - 1}.")
        return len(x)
    if x.dim() != 2 or x.shape[1] == 0:
        raise ZooError(f"{name}x has shape {tuple(x.shape)}; it must be [N, F], a row of features for each node.")
    if not x.dtype.is_floating_point:
        raise ZooError(f"{name}x is {_kind(x)}; features must be floating-point numbers (x.astype('float32')).")
    broken = (~x.isfinite()).nonzero()
    if len(broken):
        node, column = broken[0].tolist()
        raise ZooError(
            f"{name}x of node {node} is {x[node, column].item()} in column {column} (the first of {len(broken)} such "
            "values); replace what is missing."
        )
    return x.shape[0]


def check_edges(edge_index: Tensor, sources: int, targets: int, name: str = "") -> None:
    """edge_index must be [2, E] int64, row 0 among the sources and row 1 among the targets."""
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise ZooError(f"{name}edge_index has shape {tuple(edge_index.shape)}; it must be [2, E]: sources, targets.")
    if edge_index.dtype != torch.int64:
        raise ZooError(f"{name}edge_index is {_kind(edge_index)}; it must be int64 (edge_index.astype('int64')).")
    limit = torch.tensor([[sources], [targets]])
    outside = ((edge_index < 0) | (edge_index >= limit)).any(0).nonzero()
    if len(outside):
        place = int(outside[0])
        source, target = edge_index[:, place].tolist()
        nodes = f"nodes 0 to {sources - 1}"
        if sources != targets:
            nodes = f"sources 0 to {sources - 1} and targets 0 to {targets - 1}"
        raise ZooError(
            f"{name}edge {place} goes from {source} to {target}, but there are {nodes} (the first of {len(outside)} "
            "such edges); remove them or add the nodes."
        )


def check_edge_attr(edge_attr: Tensor | None, edges: int, name: str = "") -> None:
    """edge_attr, where there is one, must be [E, A] of finite numbers."""
    if edge_attr is None:
        return
    if edge_attr.dim() != 2 or edge_attr.shape[0] != edges or not edge_attr.dtype.is_floating_point:
        raise ZooError(f"{name}edge_attr is {_kind(edge_attr)}; it must be [E, A] floating point, E = {edges}.")
    broken = (~edge_attr.isfinite()).any(1).nonzero()
    if len(broken):
        raise ZooError(f"{name}edge_attr of edge {int(broken[0])} is not finite; replace what is missing.")


def check_labels(labels: Tensor, rows: int, classes: int, targets: str = "class", name: str = "") -> None:
    """labels must be [rows] int64 from 0 to classes - 1; or [rows, classes] of 0. and 1.; or [rows, k] of finite numbers."""
    if targets == "numbers":
        if not labels.dtype.is_floating_point or labels.dim() != 2 or len(labels) != rows:
            raise ZooError(f"{name}labels are {_kind(labels)}; numbers to predict must be [{rows}, k] floating point.")
        wrong = (~labels.isfinite()).any(1).nonzero()
        if len(wrong):
            raise ZooError(f"{name}the numbers of row {int(wrong[0])} are not finite; replace what is missing.")
        return
    if targets == "labels":
        good = labels.dtype.is_floating_point and labels.shape == (rows, classes)
        if not good or not ((labels == 0) | (labels == 1)).all():
            raise ZooError(f"{name}labels are {_kind(labels)}; several at once must be [{rows}, {classes}] of 0. or 1.")
        return
    if labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise ZooError(f"{name}labels are {_kind(labels)}; classes are whole numbers from 0 on (y.astype('int64')).")
    if labels.shape != (rows,) or labels.dtype != torch.int64:
        raise ZooError(f"{name}labels are {_kind(labels)}; they must be int64 [{rows}].")
    outside = ((labels < 0) | (labels >= classes)).nonzero()
    if len(outside):
        row = int(outside[0])
        raise ZooError(
            f"{name}label {int(labels[row])} of row {row} is outside the {classes} classes (0 to {classes - 1}); "
            "correct it."
        )


def check_splits(splits: dict[str, Tensor], size: int, multi_graph: bool = False) -> None:
    """The splits must lie within the rows and share none; there must be something to learn from."""
    what = "graph" if multi_graph else "node"
    for stage, rows in splits.items():
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= size):
            raise ZooError(f"the {stage} part has {what} {int(rows.max())}, but there are {size}; correct the split.")
        if len(rows.unique()) < len(rows):
            raise ZooError(f"the {stage} part has a {what} twice; remove the repeated rows.")
    names = list(splits)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            shared = splits[one][torch.isin(splits[one], splits[other])]
            if len(shared):
                raise ZooError(
                    f"{len(shared)} {what}s are for {one} and for {other} at once, the first is {int(shared[0])}: "
                    f"scores on them would be leaked; give each {what} one part."
                )
    if not len(splits["train"]):
        raise ZooError(f"there is no training {what}; mark at least one.")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
