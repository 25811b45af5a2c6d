"""R-GAT: attention over a graph with several kinds of edges. Busbridge et al. 2019."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from zoo.attention import Edges, MeanHeads
from zoo.declared import declared
from zoo.layers import xavier
from zoo.layers.graph import FeatureDropout, graph_of, make_edges, read
from zoo.layers.relational import RelationalAttention
from zoo.models.base import GraphModel


@declared
class RGAT(GraphModel):
    """Nodes, edges and their relations -> logits [N, num_classes].

        h_l = relu(layer_l(h_{l-1}))            heads side by side; the last layer averages its heads and has no relu

    Args:
        in_dim: F, or the number of nodes where they are given by number.
        num_classes: C.
        num_relations: R.
        num_nodes: N, where the data has no features: x are then the nodes' numbers, and when all of them come in order (a full
            graph) no look-up is made.
        head_dim, depth, num_heads, out_heads: as in GAT.
        edge_dim: width of edge features.
        attention: factory of each layer's attention (within, multiply, num_bases, num_blocks, dropout are bound to it).
        act: factory.
        dropout: of features, in front of every layer but the nodes' numbers.
        init: called on every module.
    """

    reads = ("relational_graph",)

    def __init__(
        self,
        in_dim: int,
        num_classes: int,
        num_relations: int,
        num_nodes: int | None = None,
        head_dim: int = 16,
        depth: int = 2,
        num_heads: int = 4,
        out_heads: int = 1,
        *,
        attention: Callable[..., nn.Module] = RelationalAttention,
        act: Callable[[], nn.Module] = nn.ReLU,
        edge_dim: int = 0,
        dropout: float = 0.0,
        init: Callable[[nn.Module], None] = xavier,
    ):
        super().__init__()
        self.in_dim, self.num_classes, self.num_nodes, self.edge_dim = in_dim, num_classes, num_nodes, edge_dim
        self.num_relations = num_relations
        hidden = num_heads * head_dim
        make = partial(attention, num_relations=num_relations, edge_dim=edge_dim)
        first = [make(in_dim if i == 0 else hidden, num_heads, head_dim) for i in range(depth - 1)]
        last = make(hidden if depth > 1 else in_dim, out_heads, num_classes, output=MeanHeads)
        self.layers = nn.ModuleList([*first, last])
        self.act, self.drop = act(), FeatureDropout(dropout)
        for module in self.modules():
            init(module)

    @property
    def renewed(self) -> tuple[str, ...]:
        """The last layer, which gives the classes."""
        return (f"layers.{len(self.layers) - 1}",)

    def inputs(self, data: Any) -> tuple:
        """What forward takes of a PyTorch Geometric `Data`: (x, edge_index, edge_type, edge_attr).

        A whole graph's numbers of nodes are 0..N-1 (x = None); a sampled part's are looked up.
        """
        x, edge_index, edge_type = read(self, data, "x", "edge_index", "edge_type")
        whole = self.num_nodes is not None and data.num_nodes == self.num_nodes and data.get("n_id") is None
        edge_attr = data.get("edge_attr") if self.edge_dim else None
        return None if whole else x, graph_of(data, edge_index), edge_type, edge_attr

    def forward(
        self, x: Tensor | None, edge_index: Tensor | Edges, relation: Tensor, edge_attr: Tensor | None = None
    ) -> Tensor:
        """Logits [N, num_classes]; see `RelationalAttention.forward` for the arguments."""
        h, edges = (
            x,
            make_edges(edge_index, num_nodes=self.in_dim if x is None else x.shape[0]),
        )  # one sorting for all layers
        for i, layer in enumerate(self.layers):
            if h is not None and h.is_floating_point():
                h = self.drop(h.to_dense())
            h = layer(h, edges, relation, edge_attr)
            h = self.act(h) if i < len(self.layers) - 1 else h
        assert h is not None
        return h
