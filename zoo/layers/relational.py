"""Attention along edges of several kinds: each relation has a map of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.attention import AdditiveEdgeScore, AttentionCall, Edges, JoinHeads, MultiplicativeEdgeScore, build
from zoo.attention.dispatch import run
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers.graph import check_features, columns, make_edges


@declared
class RelationalAttention(nn.Module):
    """R-GAT: h_i = heads(sum_{r, j -> i} a_ij^r W_r x_j), a = softmax(LeakyReLU(Q W_r x_i + K W_r x_j + e_ij)).

    Busbridge et al. 2019, equations 1 to 7, with queries and keys of one number a head. Through the core: the sources are
    rows (relation, node), the keys and values W_r x_j stand there; the query differs from edge to edge, so it stands on the
    edge (AdditiveEdgeScore).

    Args:
        dim: F, or the number of nodes where x are their numbers.
        num_heads: H.
        head_dim: D.
        num_relations: R.
        self_relation: add a loop to every node, as one more relation with a map of its own (Schlichtkrull et al. 2018, W_0).
        within: one softmax for each relation of a target (WIRGAT); else over all its edges (ARGAT).
        multiply: logits (Q W_r x_i) (K W_r x_j) instead of the sum.
        num_bases: W_r = sum_b c_rb V_b (Schlichtkrull et al. 2018, equation 3).
        num_blocks: W_r of so many diagonal blocks.
        edge_dim: A, width of edge features; they add to the logits (they multiply them where `multiply`).
        output: factory of how heads are joined.
        slope: of LeakyReLU.
        dropout: of weights.
        kernel: pinned, or None.

    Raises:
        ZooError: both bases and blocks, widths that the blocks do not divide, relations outside 0..R-1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int,
        num_relations: int,
        *,
        self_relation: bool = False,
        within: bool = False,
        multiply: bool = False,
        num_bases: int | None = None,
        num_blocks: int | None = None,
        edge_dim: int = 0,
        output: Callable[..., nn.Module] = JoinHeads,
        bias: bool = True,
        slope: float = 0.2,
        dropout: float = 0.0,
        kernel: str | None = None,
    ):
        super().__init__()
        width = num_heads * head_dim
        if num_bases and num_blocks:
            raise ZooError(f"num_bases={num_bases} and num_blocks={num_blocks}: choose one of the two.")
        if num_blocks and (dim % num_blocks or width % num_blocks):
            raise ZooError(f"num_blocks={num_blocks} must divide dim={dim} and num_heads x head_dim = {width}.")
        self.self_relation, num_relations = self_relation, num_relations + int(self_relation)
        self.num_relations, self.num_blocks, self.head_dim, self.within = num_relations, num_blocks, head_dim, within
        rows, columns = (dim, width) if not num_blocks else (dim // num_blocks, width // num_blocks)
        matrices = num_bases or num_relations * (num_blocks or 1)
        self.weight = nn.Parameter(torch.empty(matrices, rows, columns))
        self.coefficients = nn.Parameter(torch.empty(num_relations, num_bases)) if num_bases else None
        self.query = nn.Linear(width, num_heads, bias=False)
        self.key = nn.Linear(width, num_heads, bias=False)
        self.edge = nn.Linear(edge_dim, num_heads, bias=False) if edge_dim else None
        self.edge_dim = edge_dim
        self.score = MultiplicativeEdgeScore() if multiply else AdditiveEdgeScore(slope)
        self.multiply = multiply
        self.output = build(output, num_heads=num_heads, head_dim=head_dim, bias=bias)
        self.dropout, self.kernel = dropout, kernel
        self.recorder: Callable[[AttentionCall], None] | None = None
        for matrix in (self.weight, *([] if self.coefficients is None else [self.coefficients])):
            nn.init.xavier_uniform_(matrix) if matrix.ndim == 2 else [nn.init.xavier_uniform_(one) for one in matrix]

    def forward(
        self, x: Tensor | None, edge_index: Tensor | Edges, relation: Tensor, edge_attr: Tensor | None = None
    ) -> Tensor:
        """[N, dim] -> [N, out].

        Args:
            x: floats [N, dim]; numbers of nodes [N], of which the maps then hold one vector each; None: all of them in order.
            edge_index: [2, E], or Edges, for which the rows are made once.
            relation: [E], the kind of each edge.
            edge_attr: [E, edge_dim].

        Raises: ZooError for features of another width, or relations that do not fit the edges.
        """
        check_features(edge_index, edge_attr, self.edge_dim)
        nodes = x.shape[0] if x is not None else self.weight.shape[1]
        settings = dict(num_relations=self.num_relations, within=self.within, loops=self.self_relation)
        graph = make_edges(edge_index, num_nodes=nodes).once(relational_graph, relation, **settings)
        y = self.mapped(x, graph)  # [P, H D]
        # To y's type: under autocast a map is narrower than rows that are looked up.
        query = self.query(y).to(y.dtype)[graph.asked]  # [E, H]
        if self.edge is not None and edge_attr is not None:
            term, edges = (
                self.edge(columns(edge_attr)),
                edge_attr.shape[0],
            )  # added loops, after these, have no features
            term = query[:edges] * term if self.multiply else query[:edges] + term
            query = torch.cat([term, query[edges:]])
        k = self.key(y).to(y.dtype).T[None, :, :, None]  # [1, H, P, 1]
        v = y.unflatten(-1, (-1, self.head_dim)).transpose(0, 1)[None]  # [1, H, P, D]
        q = k.new_zeros(1, k.shape[1], nodes, 1)
        pattern = graph.edges.with_features(query, check=False)
        call = AttentionCall(
            q, k, v, self.score, pattern, dropout=self.dropout if self.training else 0.0, training=self.training
        )
        out = self.output(run(call, self.kernel).out)[0]
        if self.recorder is not None:
            self.recorder(call)
        return out

    def mapped(self, x: Tensor | None, graph: RelationalGraph) -> Tensor:
        """W_r x_i for the P pairs (relation r, node i) that an edge needs: [P, H D]."""
        weight: Tensor = self.weight
        relation, node = graph.rows
        number = None if x is not None and x.is_floating_point() else node if x is None else x[node]
        if self.num_blocks:
            if number is not None:
                raise ZooError("num_blocks is for nodes with features; for nodes by number use num_bases, or neither.")
            blocks = [torch.block_diag(*some) for some in weight.unflatten(0, (self.num_relations, self.num_blocks))]
            weight = torch.stack(blocks)
        if torch.compiler.is_compiling():  # the rows are all pairs: a product, or a look-up, for each matrix
            every = weight if x is None else weight[:, x] if number is not None else x @ weight
            mixed = every if self.coefficients is None else torch.einsum("rb,bno->rno", self.coefficients, every)
            return mixed.flatten(0, 1)
        if number is not None and self.coefficients is not None:  # of these pairs alone, not of all R N
            return torch.einsum("pb,bpo->po", self.coefficients[relation], weight.index_select(1, number))
        if self.coefficients is not None:
            weight = torch.einsum("rb,bio->rio", self.coefficients, weight)
        if number is not None:  # a row of the map is what the node is
            return weight.flatten(0, 1)[relation * weight.shape[1] + number]
        assert x is not None
        parts = x[node].split(graph.sizes)
        return torch.cat([part @ matrix for part, matrix in zip(parts, weight, strict=True)])

    def extra_repr(self) -> str:
        return f"relations={self.num_relations}, softmax {'within' if self.within else 'across'} relations"


class RelationalGraph(NamedTuple):
    """A graph of several relations, as edges from rows that stand for (relation, source)."""

    edges: Edges  # from rows to targets
    rows: Tensor  # [2, P]: relation and node of each row, in order of relation
    sizes: list[int]  # how many rows each relation has
    asked: Tensor  # [E]: the row of (relation, target) of each edge


def relational_graph(
    edges: Edges,
    relation: Tensor,
    *,
    num_relations: int,
    within: bool = False,
    loops: bool = False,
) -> RelationalGraph:
    """The graph's rows: only the pairs of a relation and a node that some edge needs. Grouped by relation if `within`;
    `loops`: one is added for every node, under the last relation.

    While torch.compile traces, when no shape may depend on values, the rows are all R x N pairs.
    """
    (source, target), num_nodes = edges.edge_index, edges.sizes[1]
    if relation.shape != source.shape or relation.is_floating_point():
        said = f"{list(relation.shape)} of {relation.dtype}"
        raise ZooError(f"Each of the {len(source)} edges has one relation, an integer; got {said}.")
    if not torch.compiler.is_compiling() and len(relation):
        low, high, most = int(relation.min()), int(relation.max()), num_relations - int(loops)
        if low < 0 or high >= most:
            raise ZooError(f"Relations are numbered 0 to {most - 1}; got {low} to {high}.")
    if loops:
        own = torch.arange(num_nodes, device=source.device)
        source, target = torch.cat([source, own]), torch.cat([target, own])
        relation = torch.cat([relation, torch.full_like(own, num_relations - 1)])
    pairs = torch.stack([relation * num_nodes + source, relation * num_nodes + target])
    if torch.compiler.is_compiling():
        found, sizes = torch.arange(num_relations * num_nodes, device=source.device), [num_nodes] * num_relations
    else:
        found, pairs = pairs.unique(return_inverse=True)
        sizes = (found // max(num_nodes, 1)).bincount(minlength=num_relations).tolist()
    rows = torch.stack([found // max(num_nodes, 1), found % max(num_nodes, 1)])
    joined = torch.stack([pairs[0], target])
    group = relation if within else None
    names, added = torch.stack([source, target]), num_nodes if loops else 0
    rows_of = (found.shape[0], num_nodes)
    made = Edges(joined, rows_of, group=group, names=names, num_loops=added)
    return RelationalGraph(made, rows, sizes, pairs[1])
