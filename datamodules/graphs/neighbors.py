"""Nodes with some of their neighbours, for graphs that do not fit: what PyG's NeighborLoader gives, reproducibly.

PyG needs pyg-lib for it, which has no build for every torch; without it the sampling is done here, on plain tensors.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError

EdgeType = tuple[str, str, str]


def sampler(graph: Any, fanout: Sequence[int], target: str | None) -> Callable[[Tensor, torch.Generator], Any]:
    """A function (seeds [S], random numbers) -> subgraph, by PyG where it can, else by this file.

    Args:
        graph: PyG's `Data`, or a `HeteroData` whose seeds are nodes of type `target`.
        fanout: how many incoming edges are drawn for each node at each step away from the seeds; -1: all.
    """
    counts = [int(count) for count in fanout]
    if not counts or any(count < -1 or count == 0 for count in counts):
        raise ZooError(f"data.num_neighbors={list(fanout)} are not numbers of neighbours; give some, such as [15, 10].")
    from torch_geometric.typing import WITH_PYG_LIB

    return pyg(graph, counts, target) if WITH_PYG_LIB else Neighbors(graph, counts, target)


def pyg(graph: Any, fanout: list[int], target: str | None) -> Callable[[Tensor, torch.Generator], Any]:
    """PyG's own sampler; it draws from torch's global generator, which is put back where it was."""
    from torch_geometric.loader import NeighborLoader

    nodes: Any = torch.arange(len(graph.labels))
    if target is not None:  # PyG cuts what belongs to a type of node, not what belongs to the graph
        graph, labels, nodes = graph.clone(), graph.labels, (target, nodes)
        del graph.labels
        graph[target].labels = labels
    loader = NeighborLoader(graph, num_neighbors=fanout, input_nodes=nodes)

    def sample(seeds: Tensor, numbers: torch.Generator) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(numbers.initial_seed())
            batch = loader(seeds)
        if target is not None:
            batch.labels = batch[target].labels
            del batch[target].labels
        return batch

    return sample


class Neighbors:
    """Neighbour sampling (Hamilton et al. 2017) without replacement, along edges into the nodes found a step before.

    A node is expanded once, when it is found. Output as PyG's: seeds first, then nodes in the order in which they were
    found; edges by step; n_id, e_id: numbers of nodes and edges in the full graph; batch_size: number of seeds.
    Attributes with a row for each node or edge are cut to those that were sampled.
    """

    def __init__(self, graph: Any, fanout: Sequence[int], target: str | None = None):
        self.graph, self.fanout, self.target = graph, list(fanout), target
        stores = _edge_stores(graph)
        self.sizes = {kind: store.num_nodes for kind, store in _node_stores(graph).items()}
        # Incoming edges of each node: those of node i are order[ptr[i] : ptr[i + 1]].
        self.order = {kind: store.edge_index[1].argsort(stable=True) for kind, store in stores.items()}
        self.ptr = {}
        for kind, store in stores.items():
            degree = torch.bincount(store.edge_index[1], minlength=self.sizes[kind[2]])
            self.ptr[kind] = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        # Where a node stands in the sample, -1: nowhere. Kept, because filling it costs more than a small sample.
        self.place = {kind: torch.full((size,), -1) for kind, size in self.sizes.items()}

    def __call__(self, seeds: Tensor, numbers: torch.Generator) -> Any:
        """The seeds' part of the graph."""
        stores, target = _edge_stores(self.graph), self.target or ""
        found = {kind: seeds if kind == target else seeds[:0] for kind in self.sizes}
        place = self.place
        place[target][seeds] = torch.arange(len(seeds))
        taken: dict[EdgeType, list[Tensor]] = {kind: [seeds[:0]] for kind in stores}
        frontier = dict(found)
        for count in self.fanout:
            reached: dict[str, list[Tensor]] = {kind: [] for kind in self.sizes}
            for edge, store in stores.items():
                edges = self._draw(edge, frontier[edge[2]], count, numbers)
                taken[edge].append(edges)
                reached[edge[0]].append(store.edge_index[0, edges])
            for kind in self.sizes:
                frontier[kind] = _new(torch.cat([seeds[:0], *reached[kind]]), place[kind])
                place[kind][frontier[kind]] = torch.arange(len(frontier[kind])) + len(found[kind])
                found[kind] = torch.cat([found[kind], frontier[kind]])
        batch = self._cut(found, {kind: torch.cat(edges) for kind, edges in taken.items()}, len(seeds))
        for kind, nodes in found.items():
            place[kind][nodes] = -1
        return batch

    def _draw(self, edge: EdgeType, nodes: Tensor, count: int, numbers: torch.Generator) -> Tensor:
        """Up to `count` random incoming edges of each node: order its edges by random keys and take the first."""
        ptr = self.ptr[edge]
        first, degree = ptr[nodes], ptr[nodes + 1] - ptr[nodes]
        owner = torch.arange(len(nodes)).repeat_interleave(degree)
        start = degree.cumsum(0) - degree
        within = torch.arange(len(owner)) - start[owner]
        edges = self.order[edge][first[owner] + within]
        if count < 0:
            return edges
        keys = torch.rand(len(owner), generator=numbers, dtype=torch.float64)
        shuffled = keys.argsort()
        shuffled = shuffled[owner[shuffled].argsort(stable=True)]  # by owner, in random order within
        return edges[shuffled[within < count]]

    def _cut(self, found: dict[str, Tensor], taken: dict[EdgeType, Tensor], seeds: int) -> Any:
        batch = self.graph.__class__()
        for kind, store in _node_stores(self.graph).items():
            into = batch if self.target is None else batch[kind]
            for key, value in store.items():
                if _rows(value, self.sizes[kind]) and key != "edge_index" and store.is_node_attr(key):
                    into[key] = value[found[kind]]
            into.n_id = found[kind]
        for edge, store in _edge_stores(self.graph).items():
            into, edges = (batch if self.target is None else batch[edge]), taken[edge]
            for key, value in store.items():
                if key != "edge_index" and _rows(value, store.num_edges) and store.is_edge_attr(key):
                    into[key] = value[edges]
            ends = store.edge_index[:, edges]
            into.edge_index = torch.stack([self.place[edge[0]][ends[0]], self.place[edge[2]][ends[1]]])
            into.e_id = edges
        if self.target is not None:
            batch.labels = self.graph.labels[found[self.target]]
        (batch if self.target is None else batch[self.target]).batch_size = seeds
        return batch


def _new(nodes: Tensor, place: Tensor) -> Tensor:
    """The nodes that have no place yet, each once, in the order in which they appear."""
    nodes = nodes[place[nodes] < 0]
    unique, inverse = nodes.unique(return_inverse=True)
    first = torch.full((len(unique),), len(nodes)).scatter_reduce(0, inverse, torch.arange(len(nodes)), "amin")
    return nodes[first.sort().values]


def _node_stores(graph: Any) -> dict[str, Any]:
    return {store._key or "": store for store in graph.node_stores}


def _edge_stores(graph: Any) -> dict[EdgeType, Any]:
    return {store._key or ("", "", ""): store for store in graph.edge_stores}


def _rows(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == size
