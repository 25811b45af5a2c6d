"""What models of graphs take as tensors: nodes, edges, and what stands on them."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.exports.served import Served, Sizes, Tensors, served
from zoo.layers import Embeddings
from zoo.layers.relational import RelationalAttention
from zoo.models.graph.gat import GAT
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT

MOST = 2**31 - 1  # nodes: they are sorted as 32-bit numbers
NODES: dict[str, tuple[int, int | None]] = {"nodes": (1, MOST), "edges": (1, None)}
TRACED = {"nodes": 9, "edges": 30}
COMPARED = ({"nodes": 5, "edges": 11}, {"nodes": 40, "edges": 170})


def edges(sizes: Sizes, generator: torch.Generator, count: str = "edges") -> Tensor:
    """[2, E], loops and several edges between two nodes among them."""
    return torch.randint(sizes["nodes"], (2, sizes[count]), generator=generator)


@served.register(GAT)
class Nodes(Served):
    """x [nodes, F], edge_index [2, edges], and edge_attr and pos where the model reads them -> logits [nodes, classes].

    pos is what the model's position reads. A model that classifies whole graphs takes graph_sizes too, [graphs], how many of
    the nodes are each graph's, one graph after another -> logits [graphs, classes].
    """

    def __init__(self, model: GAT):
        axes: dict[str, Any] = {"x": ("nodes", None), "edge_index": (None, "edges")}
        limits, traced, compared = NODES, TRACED, list(COMPARED)
        if model.edge_dim:
            axes["edge_attr"] = ("edges", None)
        if model.wants:
            axes["pos"] = ("nodes", "nodes" if "shortest_path" in model.wants else None)
        if model.pools:
            axes["graph_sizes"] = ("graphs",)
            limits, traced = {**NODES, "graphs": (1, MOST)}, {**TRACED, "graphs": 3}
            compared = [{**sizes, "graphs": n} for sizes, n in zip(COMPARED, (1, 5), strict=True)]
        super().__init__(model, axes, limits, traced, compared)

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        model, nodes = self.model, sizes["nodes"]
        if isinstance(model.embed, Embeddings):
            tables = [cast(nn.Embedding, table).num_embeddings for table in model.embed.tables]
            x = torch.stack([torch.randint(rows, (nodes,), generator=generator) for rows in tables], 1)
        else:
            x = torch.randn(nodes, model.in_dim, generator=generator)
        found = {"x": x, "edge_index": edges(sizes, generator)}
        if "edge_attr" in self.axes:
            found["edge_attr"] = torch.randn(sizes["edges"], model.edge_dim, generator=generator)
        if "pos" in self.axes:
            (width,) = model.wants.values()
            last = nodes if self.axes["pos"][1] else width
            drawn = torch.randint(width, (nodes, last), generator=generator)
            found["pos"] = drawn if self.axes["pos"][1] else drawn / width
        if "graph_sizes" in self.axes:  # no edge leads from one graph to another
            graphs = sizes["graphs"]
            starts = torch.arange(graphs + 1) * nodes // graphs
            source, target = found["edge_index"]
            at = torch.searchsorted(starts, source, right=True)
            begin, end = starts[at - 1], starts[at]
            found["edge_index"] = torch.stack([source, begin + target % (end - begin)])
            found["graph_sizes"] = starts.diff()
        return found

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        pos: Tensor | None = None,
        graph_sizes: Tensor | None = None,
    ) -> dict[str, Tensor]:
        if graph_sizes is None:
            return {"logits": self.model(x, edge_index, edge_attr, pos)}
        node = torch.arange(x.shape[0], device=x.device)
        batch = (node.unsqueeze(1) >= graph_sizes.cumsum(0)).sum(1)
        return {"logits": self.model(x, edge_index, edge_attr, pos, batch, graph_sizes.shape[0])}


@served.register(RGAT)
class Relations(Served):
    """x, edge_index [2, edges], relation [edges], and edge_attr where the model reads it -> logits [nodes, classes].

    x is [nodes, F]; of a model that knows nodes by number [nodes], these numbers.
    """

    def __init__(self, model: RGAT):
        numbers = model.num_nodes is not None
        axes: dict[str, Any] = {"x": ("nodes",) if numbers else ("nodes", None), "edge_index": (None, "edges")}
        axes["relation"] = ("edges",)
        if model.edge_dim:
            axes["edge_attr"] = ("edges", None)
        rows = max(cast(RelationalAttention, layer).num_relations for layer in model.layers)  # of each node
        super().__init__(model, axes, {**NODES, "nodes": (1, MOST // rows)}, TRACED, COMPARED)

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        model, nodes = self.model, sizes["nodes"]
        if model.num_nodes is not None:
            x = torch.randint(model.num_nodes, (nodes,), generator=generator)
        else:
            x = torch.randn(nodes, model.in_dim, generator=generator)
        relation = torch.randint(model.num_relations, (sizes["edges"],), generator=generator)
        found = {"x": x, "edge_index": edges(sizes, generator), "relation": relation}
        if "edge_attr" in self.axes:
            found["edge_attr"] = torch.randn(sizes["edges"], model.edge_dim, generator=generator)
        return found

    def forward(
        self, x: Tensor, edge_index: Tensor, relation: Tensor, edge_attr: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"logits": self.model(x, edge_index, relation, edge_attr)}


@served.register(HAN)
class MetaPaths(Served):
    """x [nodes, F] of the type that is classified, edge_index: a list of [2, edges_<i>], one a meta-path -> logits."""

    def __init__(self, model: HAN):
        counts = [f"edges_{i}" for i in range(len(model.metapaths))]
        axes = {"x": ("nodes", None), "edge_index": [(None, count) for count in counts]}
        limits = {"nodes": (1, MOST), **dict.fromkeys(counts, (1, None))}

        def of(sizes: Sizes) -> Sizes:  # each meta-path has another number of edges
            return {"nodes": sizes["nodes"], **{count: sizes["edges"] + i for i, count in enumerate(counts)}}

        super().__init__(model, axes, limits, of(TRACED), [of(sizes) for sizes in COMPARED])

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        x = torch.randn(sizes["nodes"], self.model.in_dim, generator=generator)
        return {"x": x, "edge_index": [edges(sizes, generator, count) for count in sizes if count != "nodes"]}

    def forward(self, x: Tensor, edge_index: list[Tensor]) -> dict[str, Tensor]:
        if len(edge_index) != len(self.model.paths):
            raise ZooError(f"{len(edge_index)} graphs for {len(self.model.paths)} meta-paths.")
        return {"logits": self.model(x, edge_index)}
