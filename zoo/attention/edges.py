"""Edges: the pattern of a graph. A target sees exactly the sources of its edges, a double edge twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from zoo.attention.ops import csr
from zoo.attention.ops.csr import CSR
from zoo.attention.patterns import Full, Pattern
from zoo.declared import declared
from zoo.errors import ZooError

T = TypeVar("T")
FILLS = ("mean", "sum", "min", "max")


class EdgeWeights(NamedTuple):
    """What a head gives each edge, before dropout: the weights of a target's edges sum to 1 (docs/criteria.md, D1).

    edge_index: [2, E'], the kept input edges in their order, then the added loops. alpha: [E', H]. is_loop: [E'], True for
    the added ones.
    """

    edge_index: Tensor
    alpha: Tensor
    is_loop: Tensor


@dataclass(frozen=True, eq=False)
class Edges(Pattern):
    """edge_index[0] -> edge_index[1]: a target sees the sources of its edges, in PyTorch Geometric's convention.

    Sorting by target and by source is done once, at the first use, and shared by all layers and steps; so is whatever else
    is made of the edges (`once`). They are a value: the memory of their tensors must not be changed afterwards.

    Args:
        edge_index: [2, E] integers, row 0 the sources, row 1 the targets. Multi-edges count as often as they stand.
        num_nodes: N, or (sources, targets) of a bipartite graph.
        features: [E, ...], what the score is given as `edge`.
        group: [E] integers: a target's softmax is taken over each group of its edges alone (R-GAT's relations).
        keep: [E], False for edges that do not count; None: all do.
        names: [2, E], what a record calls the edges where rows are not nodes (R-GAT: a row is a node under a relation).
        num_loops: how many of the last edges were added by `with_self_loops`.

    Raises:
        ZooError: wrong shape or dtype, an edge that leaves the nodes, features or groups of another length.
    """

    edge_index: Tensor
    num_nodes: int | tuple[int, int]
    features: Tensor | None = None
    group: Tensor | None = None
    keep: Tensor | None = None
    names: Tensor | None = None
    num_loops: int = 0
    _plan: ClassVar[dict[Any, Any]]  # of an instance: what was made of the edges alone; shared by with_features
    uses_query: ClassVar[bool] = False  # places are nodes, not an order: there may be more targets than sources

    def __post_init__(self):
        given = self.edge_index
        if not isinstance(given, Tensor) or given.ndim != 2 or given.shape[0] != 2:
            said = list(given.shape) if isinstance(given, Tensor) else repr(given)
            raise ZooError(f"edge_index is [2, E], row 0 the sources, row 1 the targets; got {said}.")
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise ZooError(f"edge_index holds integers; got {given.dtype}: use edge_index.long().")
        self.__dict__.update(edge_index=given.long(), _plan={})  # narrow integers do not index alike (uint8 is a mask)
        if not torch.compiler.is_compiling():
            self._check_nodes()
        for name in ("group", "keep"):
            tensor = getattr(self, name)
            if tensor is not None and tensor.shape != given.shape[1:]:
                self._refuse(name, tensor)
        self._check_features()

    def _check_features(self) -> None:
        if self.features is None:
            return
        if self.features.shape[:1] != self.edge_index.shape[1:]:
            self._refuse("features", self.features)
        if not torch.compiler.is_compiling() and not (finite := self.features.isfinite()).all():
            at = int((~finite).nonzero()[0, 0])
            raise ZooError(f"The features of edge {at} hold NaN or infinity: repair them before the call.")

    def _refuse(self, name: str, tensor: Tensor) -> None:
        count = self.edge_index.shape[1]
        raise ZooError(f"Edges needs {name} for each of its {count} edges; got {name} of shape {list(tensor.shape)}.")

    def _check_nodes(self) -> None:
        if len(self.sizes) != 2 or not all(isinstance(n, int) and n >= 0 for n in self.sizes):
            raise ZooError(f"num_nodes is a number of nodes, or (sources, targets); got {self.num_nodes!r}.")
        for row, word, size in zip(self.edge_index, ("source", "target"), self.sizes, strict=True):
            wrong = (row < 0) | (row >= size)
            if row.numel() and wrong.any():
                at = int(wrong.nonzero()[0])
                edge = tuple(self.edge_index[:, at].tolist())
                raise ZooError(f"Edge {at} is {edge}, but there are {size} {word} nodes: 0 to {size - 1}.")

    @property
    def sizes(self) -> tuple[int, int]:
        """(sources, targets)."""
        return self.num_nodes if isinstance(self.num_nodes, tuple) else (self.num_nodes, self.num_nodes)

    @property
    def edges(self) -> Edges:
        return self

    @property
    def index_pattern(self) -> Pattern:
        return Full()

    def allowed(self, b, h, q, k):
        sources, targets = self.sizes
        seen = torch.zeros(targets + 1, sources, dtype=torch.bool, device=self.edge_index.device)
        source, target = self.edge_index
        seen[target if self.keep is None else torch.where(self.keep, target, targets), source] = True  # last: a bin
        return seen[q - (sources - targets), k]  # the queries' places are the last of the keys'

    def check(self, call):
        T, S = call.q.shape[2], call.k.shape[2]
        if self.sizes != (S, T):
            raise ZooError(f"Edges of {self.sizes} (sources, targets) on {S} keys and {T} queries: give its num_nodes.")
        if call.q_pos is not None or call.k_pos is not None:
            raise ZooError("Edges name nodes, not places in a sequence: they take no cache.")

    def with_self_loops(self, fill_value: str | float = "mean") -> Edges:
        """The same with one loop (i, i) for every node, after the other edges.

        Loops among the input's own edges are replaced, as PyTorch Geometric does. Their features are `fill_value` (D4): "mean"
        of the features of the edges into the node ("sum", "min", "max"; 0 where it has none), or a number.

        Raises: ZooError where sources and targets are different sets (D2), groups say no softmax for a loop, loops were
        added before, or an unknown fill.
        """
        _check_fill(fill_value)
        sources, targets = self.sizes
        if isinstance(self.num_nodes, tuple):
            raise ZooError(
                f"Self-loops need one set of nodes; these edges go from {sources} sources to {targets} targets. "
                "Turn loops off (self_loops=null)."
            )
        if self.group is not None:
            raise ZooError("Grouped edges take no added loops: a loop belongs to no group.")
        if self.num_loops:
            raise ZooError("These edges have had their loops added.")
        made, stay = self.once(_looped)
        if self.features is None:
            return made
        features = self.features if stay is None else self.features[stay]
        counted, target = made.keep, made.edge_index[1, : features.shape[0]]
        counted = None if counted is None else counted[: features.shape[0]]
        loops = loop_features(target, features, targets, fill_value, counted)
        return made.with_features(torch.cat([features, loops]))

    def with_loops(self, fill: str | float = "mean") -> Edges:
        """The former name of `with_self_loops`."""
        return self.with_self_loops(fill)

    def subset(self, keep: Tensor) -> Edges:
        """The edges where `keep` [E] is True."""
        if self.num_loops:
            raise ZooError("Choose edges before loops are added, not after.")
        if torch.compiler.is_compiling():  # as in with_self_loops
            return replace(self, keep=keep if self.keep is None else keep & self.keep)
        parts = {n: getattr(self, n) for n in ("features", "group", "keep")}
        chosen: dict[str, Any] = {name: None if part is None else part[keep] for name, part in parts.items()}
        names = None if self.names is None else self.names[:, keep]
        return replace(self, edge_index=self.edge_index[:, keep], names=names, **chosen)

    def with_features(self, features: Tensor | None, check: bool = True) -> Edges:
        """The same edges, and the same sorting, with other features; `check`: refuse those of a wrong length, and NaN."""
        made = object.__new__(Edges)
        made.__dict__.update(self.__dict__, features=features)  # and the same _plan, whoever of the two fills it first
        if check:
            made._check_features()
        return made

    def once(self, make: Callable[..., T], *given: Tensor, **settings: Any) -> T:
        """make(self, *given, **settings), computed once for these edges, `given` (the same tensors) and settings.

        As with the sorting: `Edges` are a value, whose tensors, and those `given`, nobody changes afterwards.
        """
        if torch.compiler.is_compiling():
            return make(self, *given, **settings)
        key = (make, *settings.items())
        known, made = self._plan.get(key, ((), None))
        if key not in self._plan or any(one is not other for one, other in zip(given, known, strict=True)):
            with torch.inference_mode(False):  # what is kept serves training too (E11)
                made = make(self, *given, **settings)
            self._plan[key] = given, made
        return made

    @property
    def sorted(self) -> CSR:
        """The edges sorted by target, within a target by group, and by source: computed once."""
        if "sorted" not in self._plan:
            if torch.compiler.is_compiling():
                self._plan["sorted"] = self._sort()
            else:
                with torch.inference_mode(False):  # what is kept serves training too (E11)
                    self._plan["sorted"] = self._sort()
                _warn_of_isolated(self._plan["sorted"])
        return self._plan["sorted"]

    def _sort(self) -> CSR:
        if self.group is None:
            return csr.sort_edges(self.edge_index, *self.sizes)
        by_group = self.group.argsort(stable=True)
        made = csr.sort_edges(self.edge_index[:, by_group], *self.sizes)
        return made._replace(order=by_group[made.order])

    @property
    def read_sources(self) -> Tensor | None:
        """[S], True where a source has an edge; None where all have (not asked while compiling: it is a value)."""
        if torch.compiler.is_compiling():
            return self.sorted.t_rowptr.diff() > 0
        if "read" not in self._plan:
            with torch.inference_mode(False):
                read = self.sorted.t_rowptr.diff() > 0
                self._plan["read"] = None if read.all() else read
        return self._plan["read"]

    def _map(self, move) -> Pattern:
        made = super()._map(move)
        if isinstance(made, Edges) and made is not self and "sorted" in self._plan:
            made._plan["sorted"] = type(self.sorted)._make(map(move, self.sorted))
        return made


@declared
@dataclass(frozen=True)
class GraphEdges(Pattern):
    """The edges of the graph that the model is given: stands for them in a config, alone or joined by `&` and `|`."""

    uses_query: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("graph", "relational_graph", "heterogeneous_graph")
    of_graph: ClassVar[bool] = True
    lists_edges: ClassVar[bool] = True

    def bind(self, edges):
        return edges

    def check(self, call):
        raise ZooError("GraphEdges() stands for a graph that a model is given; in attend, write Edges(edge_index, N).")


def _looped(edges: Edges) -> tuple[Edges, Tensor | None]:
    """The edges without features, a loop for every node after them; and which edges stayed, [E] (None: all, some masked)."""
    size = edges.sizes[1]
    loops = torch.arange(size, device=edges.edge_index.device).expand(2, -1)
    own, keep = edges.edge_index[0] == edges.edge_index[1], edges.keep
    stay = ~own if keep is None else keep & ~own
    if torch.compiler.is_compiling():  # dropping them would make a shape that depends on values
        joined, keep = torch.cat([edges.edge_index, loops], 1), torch.cat([stay, stay.new_ones(size)])
        return Edges(joined, edges.num_nodes, keep=keep, num_loops=size), None
    joined = torch.cat([edges.edge_index[:, stay], loops], 1)
    return Edges(joined, edges.num_nodes, num_loops=size), stay


def loop_features(target: Tensor, features: Tensor, n: int, fill: str | float, keep: Tensor | None = None) -> Tensor:
    """Features [n, ...] of one loop a node: `fill` of those of the edges into it (`keep` [E]: which count), or a number."""
    _check_fill(fill)
    if not isinstance(fill, str):
        return features.new_full((n, *features.shape[1:]), fill)
    out = features.new_zeros(n + 1, *features.shape[1:])  # the last row is for edges that do not count
    target = target if keep is None else torch.where(keep, target, n)
    index = target.view(-1, *[1] * (features.ndim - 1)).expand_as(features)
    how = {"mean": "mean", "sum": "sum", "min": "amin", "max": "amax"}[fill]
    return out.scatter_reduce(0, index, features, how, include_self=False)[:n]


def _check_fill(fill: str | float) -> None:
    if isinstance(fill, bool) or (fill not in FILLS if isinstance(fill, str) else not isinstance(fill, int | float)):
        raise ZooError(
            f"Loops are filled by one of {', '.join(FILLS)} or a number; got {fill!r}. For none, self_loops=null."
        )


_told_of_isolated = False


def _warn_of_isolated(csr: CSR) -> None:
    """One warning a process (D3): in a sampled neighbourhood or a bipartite graph such nodes may be as they should."""
    global _told_of_isolated
    alone = csr.rowptr.diff() == 0
    if not _told_of_isolated and alone.any():
        _told_of_isolated = True
        first, count = int(alone.nonzero()[0]), int(alone.sum())
        warnings.warn(
            f"{count} of {len(alone)} nodes have no incoming edge (the first is node {first}): what they attend to is 0. "
            "Self-loops would let them see themselves.",
            stacklevel=4,
        )
