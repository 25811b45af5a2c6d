"""From a graph as it is given to one as a model reads it: part of the model, saved with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from zoo.errors import ZooError, nearest, one_line
from zoo.graphs.positions import KINDS, add_positions, normalised

#: Where node2vec's features stand: nowhere, in place of a node's own, or behind them.
LEARNED = (None, "node2vec", "both")
#: Nodes, kinds of edges and widths that a file may tell of; numbers of a position.
LARGEST, MOST = 10**9, 1000


@dataclass(frozen=True, kw_only=True)
class GraphPreprocess:
    """What was done to the graphs that a model was trained on, beyond loading them; done again to those it is asked about.

    What a model itself does to a graph, such as adding self-loops, its config says.

    Args:
        in_dim: width of a node's features; of nodes without any, their number.
        num_nodes: of nodes without features, whose x are their numbers 0, ..., num_nodes - 1; else None.
        edge_dim: width of an edge's features, 0: none.
        num_relations: kinds of edges; None where they are of one kind.
        row_normalise: features of a node add up to 1, see `normalised`.
        features: None, or node2vec in their place or (both) behind them. That was learned from one graph, and means nothing of
            another.
        positions: what was computed of each graph, {"laplacian": 8}; see `add_positions`.
        kind: of preprocessing, which tells it from that of images.
    """

    kind: str = "graph"
    in_dim: int
    num_nodes: int | None = None
    edge_dim: int = 0
    num_relations: int | None = None
    row_normalise: bool = False
    features: str | None = None
    positions: Mapping[str, int] = field(default_factory=dict)

    def sizes(self) -> dict[str, Any]:
        """What a model must agree with, by the names of its settings."""
        return {key: getattr(self, key) for key in ("in_dim", "num_nodes", "edge_dim", "num_relations")}

    def describe(self) -> dict[str, str]:
        """What a graph must hold, in words, and what is done to it."""
        nodes = f"numbered 0 to {self.num_nodes - 1:,}" if self.num_nodes is not None else f"{self.in_dim:,} features"
        said = {"nodes": nodes + (", made to add up to 1" if self.row_normalise else "")}
        said |= {"edges": f"{self.edge_dim:,} features"} if self.edge_dim else {}
        said |= {"kinds of edges": f"{self.num_relations:,}"} if self.num_relations is not None else {}
        said |= (
            {"positions": ", ".join(f"{kind} ({n})" for kind, n in self.positions.items())} if self.positions else {}
        )
        return said

    def check_others(self) -> None:
        """Refuse to prepare graphs that the model was not trained on, where that means nothing. Raises: ZooError."""
        if self.features:
            raise ZooError(
                f"The model learned from features that node2vec made of its own graph (data.features={self.features}); those "
                "of another graph would mean something else. Train with data.features=null to predict on others."
            )

    def prepare(self, graph: Any) -> Any:
        """Do to a graph of one type of node (PyG's `Data`, changed in place) what was done in training.

        Raises: ZooError where that cannot be done to this graph.
        """
        self.check_others()
        if self.row_normalise and graph.x.dim() == 2:
            graph.x = normalised(graph.x)
        add_positions([graph], self.positions)
        return graph

    @classmethod
    def from_plain(cls, content: Mapping[str, Any], where: str) -> "GraphPreprocess":
        """From the fields of a file, which are not trusted.

        Raises: ZooError that names the field that is unknown, missing or out of range.
        """
        names = [each.name for each in fields(cls)]
        if unknown := sorted(map(str, content.keys() - set(names))):
            raise ZooError(f"{where}: preprocess.{one_line(unknown[0], 80)} is unknown; {nearest(unknown[0], names)}")
        if "in_dim" not in content:
            raise ZooError(f"{where}: preprocess has no in_dim, the width of a node's features; copy the file again.")
        positions = content.get("positions", {})
        good = {
            "kind": content.get("kind", "graph") == "graph",
            "in_dim": _whole(content["in_dim"], 1),
            "num_nodes": content.get("num_nodes") is None or _whole(content["num_nodes"], 1),
            "edge_dim": _whole(content.get("edge_dim", 0), 0),
            "num_relations": content.get("num_relations") is None or _whole(content["num_relations"], 1),
            "row_normalise": type(content.get("row_normalise", False)) is bool,
            "features": content.get("features") in LEARNED,
            "positions": isinstance(positions, Mapping)
            and all(kind in KINDS and _whole(n, 1, MOST) for kind, n in positions.items()),
        }
        if wrong := next((name for name, right in good.items() if not right), None):
            said = one_line(repr(content.get(wrong)), 80)
            raise ZooError(f"{where}: preprocess.{wrong}={said} is out of range, or of another kind.")
        return cls(**content)


def _whole(value: Any, least: int, most: int = LARGEST) -> bool:
    return type(value) is int and least <= value <= most
