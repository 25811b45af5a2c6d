"""What models of graphs take as tensors: nodes, edges, and what stands on them."""

from typing import Any, cast

import torch
from torch import Tensor

from zoo.exports.served import Served, Tensors, served
from zoo.layers.relational import RelationalAttention
from zoo.models.graph.gat import GAT
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT

MOST = 2**31 - 1  # nodes: they are sorted as 32-bit numbers
LIMITS: dict[str, tuple[int, int | None]] = {"nodes": (1, MOST), "edges": (1, None)}
TRACED = {"rows": 3, "nodes": 9, "edges": 30}
COMPARED = ({"rows": 1, "nodes": 5, "edges": 11}, {"rows": 4, "nodes": 30, "edges": 130})


@served.register(GAT)
class Nodes(Served):
    """x [nodes, F], edge_index [2, edges], and edge_attr and pos where the model reads them -> logits [nodes, classes].

    pos is what the model's position reads. A model that classifies whole graphs takes graph_sizes too, [graphs], how many of
    the nodes are each graph's, one graph after another -> logits [graphs, classes].
    """

    def __init__(self, model: GAT):
        flat = len(getattr(model.embed, "tables", ())) == 1  # nodes described by one number
        axes: dict[str, Any] = {"x": ("nodes",) if flat else ("nodes", None), "edge_index": (None, "edges")}
        if model.edge_dim:
            axes["edge_attr"] = ("edges", None)
        if model.wants:
            axes["pos"] = ("nodes", "nodes" if "shortest_path" in model.wants else None)
        if model.pools:
            axes["graph_sizes"] = ("graphs",)
        super().__init__(model, axes, {**LIMITS, "graphs": (1, MOST)}, TRACED, COMPARED)

    def named(self, batch: Any) -> Tensors:
        x, index, attr, pos, *_ = self.model.inputs(batch)
        sizes = batch.ptr.diff() if self.model.pools else None
        found = {"x": x, "edge_index": index, "edge_attr": attr, "pos": pos, "graph_sizes": sizes}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

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
    """x, edge_index [2, edges], edge_type [edges], and edge_attr where the model reads it -> logits [nodes, classes].

    x is [nodes, F]; of a model that knows nodes by number [nodes], these numbers.
    """

    def __init__(self, model: RGAT):
        axes: dict[str, Any] = {"x": ("nodes",) if model.num_nodes is not None else ("nodes", None)}
        axes |= {"edge_index": (None, "edges"), "edge_type": ("edges",)}
        if model.edge_dim:
            axes["edge_attr"] = ("edges", None)
        rows = max(cast(RelationalAttention, layer).num_relations for layer in model.layers)  # of each node
        super().__init__(model, axes, {**LIMITS, "nodes": (1, MOST // rows)}, TRACED, COMPARED)

    def named(self, batch: Any) -> Tensors:
        found = dict(zip(("x", "edge_index", "edge_type", "edge_attr"), self.model.inputs(batch), strict=True))
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_type: Tensor, edge_attr: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"logits": self.model(x, edge_index, edge_type, edge_attr)}


@served.register(HAN)
class MetaPaths(Served):
    """x [nodes, F] of the type that is classified, edge_index: a list of [2, edges_<i>], one a meta-path -> logits."""

    def __init__(self, model: HAN):
        counts = [f"edges_{i}" for i in range(len(model.metapaths))]
        axes = {"x": ("nodes", None), "edge_index": [(None, count) for count in counts]}
        limits = {"nodes": (1, MOST), **dict.fromkeys(counts, (1, None))}
        super().__init__(model, axes, limits, TRACED, COMPARED)

    def named(self, batch: Any) -> Tensors:
        return dict(zip(("x", "edge_index"), self.model.inputs(batch), strict=True))

    def forward(self, x: Tensor, edge_index: list[Tensor]) -> dict[str, Tensor]:
        return {"logits": self.model(x, edge_index)}
