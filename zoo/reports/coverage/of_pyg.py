"""PyTorch Geometric's layers with attention, each with the options that it has by default and a few more."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from zoo.reports.coverage.rows import Row, held_against

NODES, WIDTH, RELATIONS = 12, 8, 3
#: Layers whose classes speak of attention and which are none: a base class, a switch between others, what scores nodes to drop
#: them, what needs another library, models that are no layers.
NOT_LAYERS = {
    "MessagePassing", "MultiAggregation", "CuGraphGATConv", "JumpingKnowledge", "ASAPooling", "SAGPooling", "TopKPooling",
    "MemPooling", "Polynormer", "SGFormer", "ViSNet", "AttentiveFP",
}  # fmt: skip


def names() -> list[str]:
    """Classes of torch_geometric.nn whose docstring says attention, or that have heads."""
    return sorted(_found())


def judge(name: str) -> Row:
    """One layer."""
    kind = _found()[name]
    room = kind.__module__.split(".")[2]
    if name not in EXAMPLES:
        return Row(name, room, "refused", f"class {name}")
    settings, show = EXAMPLES[name]
    return held_against(name, room, lambda: kind(**settings), show)


def _found() -> dict[str, Any]:
    from torch_geometric.nn import aggr, attention, conv, dense, models

    found: dict[str, Any] = {}
    for room in (aggr, attention, conv, dense, models):
        kinds = {name: getattr(room, name, None) for name in room.__all__ if name not in NOT_LAYERS}
        found |= {name: kind for name, kind in kinds.items() if inspect.isclass(kind) and _attends(kind)}
    return found


def _attends(kind: Any) -> bool:
    return "attent" in (kind.__doc__ or "").lower() or "heads" in inspect.signature(kind.__init__).parameters


def _graph() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, edges that lead into every node, their features, their kinds."""
    random = torch.Generator().manual_seed(1)
    ring = torch.stack([torch.arange(NODES), (torch.arange(NODES) + 1) % NODES])
    edges = torch.cat([ring, torch.randint(NODES, (2, 3 * NODES), generator=random)], 1)
    x, features = (torch.randn((n, WIDTH), generator=random) for n in (NODES, edges.shape[1]))
    return x, edges, features, torch.arange(edges.shape[1]) % RELATIONS


def _with_features(model: Any) -> Tensor:
    x, edges, features, _ = _graph()
    return model(x, edges, edge_attr=features)


def _plain(model: Any) -> Tensor:
    x, edges, _, _ = _graph()
    return model(x, edges)


def _with_kinds(model: Any) -> Tensor:
    x, edges, features, kinds = _graph()
    return model(x, edges, kinds, edge_attr=features)


USUAL = dict(in_channels=WIDTH, out_channels=5, heads=2, edge_dim=WIDTH)
#: class -> (its options, how a model of it is shown a graph)
EXAMPLES: dict[str, tuple[dict[str, Any], Any]] = {
    "GATConv": (USUAL, _with_features),
    "GATv2Conv": (USUAL, _with_features),
    "TransformerConv": ({**USUAL, "beta": True}, _with_features),
    "SuperGATConv": ({key: value for key, value in USUAL.items() if key != "edge_dim"}, _plain),
    "RGATConv": ({**USUAL, "num_relations": RELATIONS}, _with_kinds),
    "GAT": (
        dict(in_channels=WIDTH, hidden_channels=6, num_layers=2, out_channels=5, heads=2, edge_dim=WIDTH),
        _with_features,
    ),
}
