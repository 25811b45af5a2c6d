"""A layer of a graph network: dropout, attention along the edges, what is added of the input, norm, activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import Edges, Pattern
from zoo.declared import declared
from zoo.errors import ZooError


class GraphLayer(nn.Module):
    """h' = act(norm(skip(attention(drop(h)), h))), nodes [N, dim] -> [N, dim'].

    Args:
        attention: an Attention; the pattern it is called with says what of the graph is seen.
        skip: module (out, h, first) -> out, what is added of the layer's input or of the first layer's output; None adds
            nothing.
        norm, act: modules or None.
        dropout: of the input's features.
    """

    def __init__(
        self,
        attention: nn.Module,
        skip: nn.Module | None = None,
        norm: nn.Module | None = None,
        act: nn.Module | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.drop = FeatureDropout(dropout)
        self.attn, self.skip, self.norm, self.act = attention, skip, norm, act

    def forward(self, h: Tensor, pattern: Pattern, pos: Tensor | None = None, first: Tensor | None = None) -> Tensor:
        h = self.drop(h)
        out = self.attn(h if h.layout == torch.sparse_csr else h[None], pattern=pattern, pos=pos).squeeze(0)
        if self.skip is not None:
            out = self.skip(out, h, first)
        if self.norm is not None:
            out = self.norm(out)
        return out if self.act is None else self.act(out)


class FeatureDropout(nn.Dropout):
    """Dropout that leaves a sparse matrix sparse: of 0 it would make 0 anyway."""

    def forward(self, x: Tensor) -> Tensor:
        if x.layout != torch.sparse_csr:
            return super().forward(x)
        if not self.training or not self.p:
            return x
        kept = super().forward(x.values())
        return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), kept, x.shape, check_invariants=False)


@declared
class LinearSkip(nn.Module):
    """out + W h: the residual of PyTorch Geometric's GATConv, and the root weight of Shi et al. 2021, equation 4."""

    def __init__(self, dim: int, out_dim: int, bias: bool = False):
        super().__init__()
        self.map = nn.Linear(dim, out_dim, bias=bias)

    def forward(self, out: Tensor, h: Tensor, first: Tensor | None = None) -> Tensor:
        return out + self.map(h)


@declared
class Residual(nn.Module):
    """out + h where the widths agree, else out. He et al. 2016; GAT on PPI, Velickovic et al. 2018, section 3.3."""

    def forward(self, out: Tensor, h: Tensor, first: Tensor | None = None) -> Tensor:
        return out + h.to_dense() if out.shape == h.shape else out


@declared
class InitialResidual(nn.Module):
    """(1 - alpha) out + alpha h_1, h_1 the first layer's output, where the widths agree. Chen et al. 2020, equation 5."""

    def __init__(self, alpha: float = 0.1):
        super().__init__()
        self.alpha = alpha

    def forward(self, out: Tensor, h: Tensor, first: Tensor | None = None) -> Tensor:
        if first is None or first.shape != out.shape:
            return out
        return (1 - self.alpha) * out + self.alpha * first


@declared
class GatedSkip(nn.Module):
    """b W h + (1 - b) out, b = sigmoid(w . [out, W h, out - W h]). Shi et al. 2021, equations 5 and 6."""

    def __init__(self, dim: int, out_dim: int, bias: bool = True):
        super().__init__()
        self.map = nn.Linear(dim, out_dim, bias=bias)
        self.gate = nn.Linear(3 * out_dim, 1, bias=False)

    def forward(self, out: Tensor, h: Tensor, first: Tensor | None = None) -> Tensor:
        x = self.map(h)
        b = self.gate(torch.cat([out, x, out - x], -1)).sigmoid()
        return b * x + (1 - b) * out


@declared
class Embeddings(nn.Module):
    """Nodes described by numbers from a list, [N] or [N, C]: the sum of an embedding for each of the C columns."""

    def __init__(self, sizes: int | list[int], dim: int):
        super().__init__()
        sizes = [sizes] if isinstance(sizes, int) else sizes
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        columns = x.unsqueeze(-1) if x.ndim == 1 else x
        return torch.stack([table(column) for table, column in zip(self.tables, columns.unbind(-1), strict=True)]).sum(
            0
        )


def read(model: nn.Module, data: Any, *names: str) -> list[Tensor]:
    """What a model reads of a PyTorch Geometric `Data`. Raises ZooError naming what the data has not."""
    found: list[Any] = [getattr(data, name, None) for name in names]
    if missing := [name for name, x in zip(names, found, strict=True) if x is None]:
        kind = type(data).__name__
        raise ZooError(f"{type(model).__name__} reads {', '.join(names)}; this {kind} has no {', '.join(missing)}.")
    return found


def graph_of(data: Any, edge_index: Tensor) -> Tensor | Edges:
    """The edges that a batch carries where its data module says that the graph stays as it is, else `edge_index`.

    Such `edges` are sorted once, a bare `edge_index` in every forward pass: nothing tells whether its memory was changed.
    """
    edges = data.get("edges")
    return edges if edges is not None and edges.edge_index is edge_index else edge_index


def make_edges(
    graph: Tensor | Edges,
    features: Tensor | None = None,
    *,
    num_nodes: int | tuple[int, int],
    loops: str | float | None = None,
) -> Edges:
    """`graph` as Edges over `num_nodes`, with features [E, A] and, where `loops` says how to fill them, loops.

    Of the same `Edges` the same come back, sorted once for all layers and steps; a bare edge_index is sorted anew.

    Raises: ZooError for features given twice, or for another number of nodes than the graph's.
    """
    if isinstance(graph, Edges):
        if features is not None:
            if graph.features is not None:
                raise ZooError("edge_attr is given, but these Edges have features of their own: give one of them.")
            graph = graph.with_features(features)
        if graph.features is not None and graph.features.ndim == 1:
            graph = graph.with_features(columns(graph.features), check=False)
        if graph.sizes != (num_nodes if isinstance(num_nodes, tuple) else (num_nodes, num_nodes)):
            raise ZooError(f"These Edges join {graph.sizes} (sources, targets), but there are {num_nodes} nodes.")
    else:
        graph = Edges(graph, num_nodes, None if features is None else columns(features))
    return graph.with_self_loops(loops) if loops is not None and not graph.num_loops else graph


def check_features(graph: Tensor | Edges, edge_attr: Tensor | None, edge_dim: int) -> None:
    """Raise ZooError where the edges come with features other than [E, edge_dim] floats ([E] for one feature)."""
    features = graph.features if edge_attr is None and isinstance(graph, Edges) else edge_attr
    if features is None:
        return
    width = 1 if features.ndim == 1 else features.shape[-1]
    if width != edge_dim:
        raise ZooError(f"The edges have {width} features, the model was built for edge_dim={edge_dim}.")
    if not features.is_floating_point():
        raise ZooError(f"Features of edges are floats; got {features.dtype}: use edge_attr.float().")


def thinned(graph: Tensor | Edges, num_nodes: int, features: Tensor | None, p: float) -> Edges:
    """The graph without a share p of its edges, drawn at random. Rong et al. 2020 (DropEdge)."""
    edges = make_edges(graph, features, num_nodes=num_nodes)
    return edges.subset(torch.rand(edges.edge_index.shape[1], device=edges.edge_index.device) >= p)


def columns(features: Tensor) -> Tensor:
    """[E] -> [E, 1]."""
    return features.unsqueeze(-1) if features.ndim == 1 else features


class GraphMemory:
    """Of an earlier version, which remembered a bare edge_index. Now `make_edges`; what is to be sorted once is `Edges`."""

    def edges(
        self,
        graph: Tensor | Edges,
        num_nodes: int | tuple[int, int],
        features: Tensor | None = None,
        loops: str | float | None = None,
    ) -> Edges:
        """See `make_edges`."""
        return make_edges(graph, features, num_nodes=num_nodes, loops=loops)
