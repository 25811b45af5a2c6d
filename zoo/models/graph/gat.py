"""Graph attention networks: attention along edges. GAT, GATv2, graph transformer and others are one model with other parts.

Velickovic et al. 2018; Brody et al. 2022; Shi et al. 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import (
    Attention,
    Documents,
    Edges,
    GATScore,
    GraphEdges,
    JoinHeads,
    MeanHeads,
    Pattern,
    Position,
    SharedQKV,
    build,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import GraphLayer, readout_of, xavier
from zoo.layers.graph import check_features, graph_of, make_edges, read, thinned
from zoo.models.base import NO_POSITION, GraphModel

GAT_ATTENTION = partial(Attention, score=GATScore, projection=partial(SharedQKV, bias=False))


@declared
class GAT(GraphModel):
    """Nodes [N, in_dim] and edges -> logits [N, num_classes], or one row a graph with a readout.

        h_1 = layer_1(embed(x) + position)
        h_l = layer_l(h_{l-1})                heads side by side: num_heads x head_dim wide
        logits = layer_depth(h_{depth-1})     out_heads heads of num_classes, averaged; or head(readout(h_depth))

    Args:
        in_dim: F.
        num_classes: C.
        head_dim, depth, num_heads: of the hidden layers.
        out_heads: of the last.
        attention: factory of the attention of each layer; score, projection, pattern, kernel are bound to it.
        pattern: GraphEdges() for the graph's edges, Full() for all nodes of the graph, or anything joined to them; default what
            is bound to `attention`, else GraphEdges().
        position: factory, a position of graphs (Laplacian, RandomWalk, ShortestPath).
        embed: factory (in_dim, dim) -> module in front of the first layer; the layers are then `num_heads x head_dim` wide.
        skip: factory (dim, out_dim), what a layer adds of its input.
        norm, act: factories, after hidden layers. Without a `head` the last layer has neither norm nor act.
        self_loops: every node sees itself too; how the features of these edges are made ("mean", or a number); None: no loops
            are added. Loops among the input's own are replaced (zoo.attention.Edges.with_self_loops).
        edge_dim: A, the width of edge features.
        drop_edge: share of edges left out in training (Rong et al. 2020).
        readout: "mean", "sum" or "max" over a graph's nodes; None: a row a node.
        head: factory (in, out) of what follows the layers, nn.Linear where there is a readout; None: the last layer gives the
            logits, as in the paper.
        dropout: of features, in front of every layer.
        feature_dropout: of the input's, by default the same.
        attn_dropout: of weights.
        init: called on every module.

    Raises:
        ZooError: a position that is none of a graph's, an unknown readout, inputs that do not fit.
    """

    of_task = ("readout",)
    usual = MappingProxyType(
        {
            "score": "zoo.attention.GATScore",
            "pattern": "zoo.attention.GraphEdges",
            "kernel": None,
            "position": NO_POSITION,
        }
    )

    def __init__(
        self,
        in_dim: int,
        num_classes: int,
        head_dim: int = 8,
        depth: int = 2,
        num_heads: int = 8,
        out_heads: int = 1,
        *,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | None = None,
        position: Callable[..., Position] | None = None,
        embed: Callable[..., nn.Module] | None = None,
        skip: Callable[..., nn.Module] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] = nn.ELU,
        self_loops: str | float | None = "mean",
        edge_dim: int = 0,
        drop_edge: float = 0.0,
        readout: str | None = None,
        head: Callable[..., nn.Module] | None = None,
        dropout: float = 0.6,
        feature_dropout: float | None = None,
        attn_dropout: float = 0.6,
        init: Callable[[nn.Module], None] = xavier,
    ):
        super().__init__()
        if depth < 1:
            raise ZooError(f"depth is a number of layers, at least 1; got {depth}.")
        self.in_dim, self.num_classes, self.edge_dim = in_dim, num_classes, edge_dim
        self.self_loops, self.drop_edge = self_loops, drop_edge
        self.readout, self.pools = readout_of(readout), readout is not None
        head = nn.Linear if head is None and readout else head
        hidden = num_heads * head_dim
        self.embed = None if embed is None else embed(in_dim, hidden)
        start = in_dim if embed is None else hidden
        place = partial(build, position, dim=start, num_heads=num_heads, head_dim=head_dim)
        given: Position = place() or Position()
        if type(given) is not Position and not given.wants:
            raise ZooError(
                f"{type(given).__name__} goes by the order of a sequence, and nodes have none: "
                "take position=laplacian, random_walk or shortest_path."
            )
        self.wants = given.wants
        self.position = given if "tokens" in given.acts_on else Position()
        inside = given.acts_inside
        bound, attention = unbind(attention or GAT_ATTENTION, "pattern")
        self.pattern = make_pattern(pattern or bound or GraphEdges())  # of which the graph makes the run-time pattern

        def layer(i: int) -> nn.Module:
            last = head is None and i == depth - 1
            dim, heads = (hidden if i else start), (out_heads if last else num_heads)
            width = num_classes if last else head_dim
            attn = build(
                attention, dim=dim, num_heads=heads, head_dim=width, edge_dim=edge_dim, dropout=attn_dropout,
                output=MeanHeads if last else JoinHeads,
                position=build(position, dim=dim, num_heads=heads, head_dim=width) if inside else None,
            )  # fmt: skip
            out = num_classes if last else hidden
            return GraphLayer(
                attn,
                None if skip is None else build(skip, dim=dim, out_dim=out),
                None if last or norm is None else norm(out),
                None if last else act(),
                feature_dropout if i == 0 and feature_dropout is not None else dropout,
            )

        self.layers = nn.ModuleList(layer(i) for i in range(depth))
        self.head = None if head is None else head(hidden, num_classes)
        for module in self.modules():
            init(module)

    @property
    def renewed(self) -> tuple[str, ...]:
        """The last layer, which gives the classes where no head does."""
        return (f"layers.{len(self.layers) - 1}", "head")

    def inputs(self, data: Any) -> tuple:
        """What forward takes of a PyTorch Geometric `Data`: (x, edge_index, edge_attr, pos, batch, num_graphs)."""
        x, edge_index = read(self, data, "x", "edge_index")
        batch = data.get("batch")
        num_graphs = None if batch is None else data.num_graphs
        pos = next((data.get(name) for name in self.wants), None)
        edge_attr = data.get("edge_attr") if self.edge_dim else None
        return x, graph_of(data, edge_index), edge_attr, pos, batch, num_graphs

    def seen(self, graph: Tensor | Edges, num_nodes: int, edge_attr: Tensor | None, batch: Tensor | None) -> Pattern:
        """Which nodes a node sees: the model's pattern on this graph, never across the graphs of a batch."""
        if self.training and self.drop_edge:
            graph, edge_attr = thinned(graph, num_nodes, edge_attr, self.drop_edge), None
        edges = make_edges(graph, edge_attr, num_nodes=num_nodes, loops=self.self_loops)
        pattern = self.pattern.bind(edges)
        if pattern.edges is None and edges.features is not None:
            raise ZooError(
                f"The pattern {self.pattern} is not a list of edges, so their features go nowhere: edge_dim=0."
            )
        if pattern.edges is None and batch is not None:
            pattern = pattern & Documents(batch)
        return pattern

    def forward_features(
        self,
        x: Tensor,
        graph: Tensor | Edges,
        edge_attr: Tensor | None = None,
        pos: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Nodes after the last layer, [N, num_heads x head_dim], or the logits where there is no head."""
        self._check(x, graph, edge_attr)
        h = x if self.embed is None else self.embed(x)
        if "tokens" in self.position.acts_on:
            if pos is None:
                raise ZooError(f"The model's position reads {self.wants}, made with the data; pass them as pos=.")
            h = self.position.embed(h.to_dense() if h.layout == torch.sparse_csr else h, pos)
        pattern, first = self.seen(graph, x.shape[0], edge_attr, batch), None
        for layer in self.layers:
            h = layer(h, pattern, pos, first)
            first = h if first is None else first
        return h

    def forward(
        self,
        x: Tensor,
        graph: Tensor | Edges,
        edge_attr: Tensor | None = None,
        pos: Tensor | None = None,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
    ) -> Tensor:
        """Logits [N, num_classes]; with a readout [graphs, num_classes].

        Args:
            x: [N, in_dim], dense or torch.sparse_csr; integers where `embed` takes them.
            graph: edge_index [2, E] (row 0 sources, row 1 targets), or Edges.
            edge_attr: [E, edge_dim].
            pos: what the position reads, [N, k] or [N, N].
            batch: [N], the graph of each node.
            num_graphs: how many there are (found from `batch` where not given, which torch.compile cannot).
        """
        h = self.forward_features(x, graph, edge_attr, pos, batch)
        if self.readout is not None:
            h = self.readout(h, batch, num_graphs)
        return h if self.head is None else self.head(h)

    def _check(self, x: Tensor, graph: Tensor | Edges, edge_attr: Tensor | None) -> None:
        if self.embed is None and (x.ndim != 2 or x.shape[1] != self.in_dim or not x.is_floating_point()):
            raise ZooError(f"x is [N, {self.in_dim}] of floats; got {list(x.shape)} of {x.dtype}.")
        check_features(graph, edge_attr, self.edge_dim)


def _config(
    in_dim: int, num_classes: int, head_dim: int = 8, depth: int = 2, num_heads: int = 8, **more: Any
) -> dict[str, Any]:
    sizes = dict(in_dim=in_dim, num_classes=num_classes, head_dim=head_dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.graph.gat.GAT", **sizes, **more}


RESIDUAL = {"_target_": "zoo.layers.Residual", "_partial_": True}
#: Velickovic et al. 2018, section 3.3, at the sizes of its data sets
CONFIGS: dict[str, dict[str, Any]] = {
    "gat_cora": _config(1433, 7),
    "gat_citeseer": _config(3703, 6),
    "gat_pubmed": _config(500, 3, out_heads=8),
    "gat_ppi": _config(50, 121, 256, 3, 4, out_heads=6, dropout=0.0, attn_dropout=0.0, skip=RESIDUAL),
}
