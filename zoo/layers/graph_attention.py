"""One attention along edges as a module of its own, called the way PyTorch Geometric's convolutions are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.attention import Edges
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers.graph import check_features, make_edges

Nodes = Tensor | tuple[Tensor, Tensor]


@declared
class GraphAttention(nn.Module):
    """out = skip(attention(x_targets, x_sources, edges), x_targets): nodes [N, F] -> [N, F'], or S sources -> T targets.

    Models have their layers in `GraphLayer`, with one `Edges` for all; this is a layer that makes its own. What
    `zoo.convert` makes of PyTorch Geometric's GATConv, GATv2Conv and TransformerConv.

    Args:
        attention: an Attention; for sources of another width its projection has a `context_dim`.
        skip: module (out, x_targets) -> out, what is added of the input, or None.
        self_loops: how the features of added loops are filled ("mean", "sum", "min", "max" or a number); None adds none.
            The input's own loops are replaced (`zoo.attention.Edges.with_self_loops`).
        edge_dim: A, the width of edge features.
    """

    preprocess = None
    classes = None

    def __init__(
        self,
        attention: nn.Module,
        skip: nn.Module | None = None,
        self_loops: str | float | None = None,
        edge_dim: int = 0,
    ):
        super().__init__()
        self.attn, self.skip = attention, skip
        self.self_loops, self.edge_dim = self_loops, edge_dim

    def forward(self, x: Nodes, graph: Tensor | Edges, edge_attr: Tensor | None = None) -> Tensor:
        """[T, F'].

        Args:
            x: [N, F], or (sources [S, F_s], targets [T, F_t]) of a bipartite graph.
            graph: edge_index [2, E], row 0 sources, row 1 targets, or Edges.
            edge_attr: [E, A] or [E].

        Raises:
            ZooError: sources without targets, features of another width, and loops asked for where the numbers of sources
                and targets differ: they are never invented (D2). Where the numbers agree, source i is target i.
        """
        sources, targets = x if isinstance(x, tuple | list) else (x, x)
        if targets is None:
            raise ZooError(
                "x is (sources, None), but an attention asks for its targets: give their features. For a GATConv, zeros "
                "[T, F] mean the same as None."
            )
        check_features(graph, edge_attr, self.edge_dim)
        S, T = sources.shape[0], targets.shape[0]
        edges = make_edges(graph, edge_attr, num_nodes=T if S == T else (S, T), loops=self.self_loops)
        context = None if sources is targets else _batch(sources)
        out = self.attn(_batch(targets), context, pattern=edges).squeeze(0)
        return out if self.skip is None else self.skip(out, targets)


def _batch(x: Tensor) -> Tensor:
    """One graph is a batch of one; a sparse matrix is taken as it is (`zoo.attention.projections.in_heads`)."""
    if x.ndim != 2 or not x.is_floating_point():
        raise ZooError(f"x is [N, F] of floats; got {list(x.shape)} of {x.dtype}.")
    return x[None] if x.layout == torch.strided else x
