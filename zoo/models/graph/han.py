"""HAN: attention along each meta-path, then attention over the meta-paths. Wang et al. 2019."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import Attention, Edges, GATScore, JoinHeads, SharedQKV, build
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import GraphLayer, xavier
from zoo.layers.graph import graph_of, make_edges, thinned
from zoo.layers.semantic import SemanticAttention
from zoo.models import examples
from zoo.models.base import GraphModel

GAT_ATTENTION = partial(Attention, score=GATScore, projection=partial(SharedQKV, bias=False))


@declared
class HAN(GraphModel):
    """Nodes of one type, a graph for each meta-path between them -> logits [N, num_classes].

        z^p = act(norm_p(attention_p(x along meta-path p)))  node level: an attention of its own for each meta-path
        z = sum_p b_p z^p                                    semantic level: one weight a meta-path (SemanticAttention)
        logits = head(z)

    Args:
        in_dim: F.
        num_classes: C.
        metadata: what the data says of its types; "target", the type that is classified, and "metapaths", edge types from it to
            itself.
        head_dim, num_heads: of the node level.
        hidden: of the semantic level.
        attention: factory of each meta-path's attention.
        act: factory.
        dropout: of features.
        attn_dropout: of weights.
        norm: factory (width) -> module, or None as in the paper. Features whose rows add up to 1 are so small that without one
            it takes a high rate to learn, and validation jumps.
        self_loops: every node is its own neighbour along every meta-path; None: only where the graph says so.
        drop_edge: share of edges left out in training (Rong et al. 2020), other ones each time; dense meta-paths then cost as
            little. One number, or one for each meta-path: a sparse one has no edges to spare.
        init: called on every module.

    Raises:
        ZooError: no meta-path, or another number of graphs or of `drop_edge` than of meta-paths.
    """

    reads = ("heterogeneous_graph",)

    def __init__(
        self,
        in_dim: int,
        num_classes: int,
        metadata: Mapping[str, Any],
        head_dim: int = 8,
        num_heads: int = 8,
        hidden: int = 128,
        *,
        attention: Callable[..., nn.Module] | None = None,
        act: Callable[[], nn.Module] = nn.ELU,
        dropout: float = 0.6,
        attn_dropout: float = 0.6,
        self_loops: str | float | None = "mean",
        norm: Callable[[int], nn.Module] | None = None,
        drop_edge: float | Sequence[float] = 0.0,
        init: Callable[[nn.Module], None] = xavier,
    ):
        super().__init__()
        self.in_dim, self.num_classes, self.self_loops = in_dim, num_classes, self_loops
        self.target, self.metapaths = metadata["target"], [tuple(path) for path in metadata["metapaths"]]
        if not self.metapaths:
            raise ZooError("HAN attends along meta-paths, and this data names none.")
        shares = [drop_edge] * len(self.metapaths) if isinstance(drop_edge, int | float) else list(drop_edge)
        if len(shares) != len(self.metapaths):
            names = ", ".join(path for _, path, _ in self.metapaths)
            raise ZooError(f"drop_edge is one number, or one for each of the meta-paths {names}; got {drop_edge}.")
        self.drop_edge: list[float] = shares

        def layer() -> GraphLayer:
            attn = build(
                attention or GAT_ATTENTION, dim=in_dim, num_heads=num_heads, head_dim=head_dim, dropout=attn_dropout,
                output=JoinHeads,
            )  # fmt: skip
            after = None if norm is None else norm(num_heads * head_dim)
            return GraphLayer(attn, norm=after, act=act(), dropout=dropout)

        self.paths = nn.ModuleList(layer() for _ in self.metapaths)
        self.semantic = SemanticAttention(num_heads * head_dim, hidden)
        self.head = nn.Linear(num_heads * head_dim, num_classes)
        for module in self.modules():
            init(module)

    def describe(self) -> dict[str, str]:
        return {"meta-paths": ", ".join("-".join(path) for path in self.metapaths)}

    def example(self, draw: examples.Draw) -> Any:
        return examples.heterogeneous_graph(self, draw)

    def inputs(self, data: Any) -> tuple:
        """What forward takes of a PyTorch Geometric `HeteroData`: (x, one edge_index a meta-path)."""
        return data[self.target].x, [graph_of(data[path], data[path].edge_index) for path in self.metapaths]

    def forward(self, x: Tensor, graphs: Sequence[Tensor | Edges]) -> Tensor:
        """x [N, in_dim] of the target's nodes, graphs: an edge_index (or Edges) for each meta-path -> [N, num_classes]."""
        if len(graphs) != len(self.paths):
            raise ZooError(f"{len(graphs)} graphs for {len(self.paths)} meta-paths: give one for each, in their order.")
        nodes = x.shape[0]
        if self.training:
            shares = zip(graphs, self.drop_edge, strict=True)
            graphs = [thinned(graph, nodes, None, p) if p else graph for graph, p in shares]
        views = [
            layer(x, make_edges(graph, num_nodes=nodes, loops=self.self_loops))
            for layer, graph in zip(self.paths, graphs, strict=True)
        ]
        return self.head(self.semantic(torch.stack(views)))
