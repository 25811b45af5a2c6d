"""What a set of graphs is before any choice about batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datamodules.splits import Splits


@dataclass
class GraphCollection:
    """One large graph, or many.

    Args:
        graphs: PyG's `Data` with x [N, F], edge_index [2, E], labels, optional edge_attr [E, A], edge_type [E], scored [N]
            bool; or a single `HeteroData`. labels are [N] (one for a graph that is classified as a whole), or float: [N, C]
            of 0 and 1 where a row may have several classes, [N, k] of numbers where there are no classes.
        classes: names, in order of label; () where labels are numbers.
        splits: which rows are for training, validation and test: nodes of the only graph; graphs where `multi_graph`.
        multi_graph: batches are made of whole graphs.
        graph_level: graphs are classified, not their nodes.
        target: of a `HeteroData`, the type of node that is classified.
        metapaths: of a `HeteroData`, the edge types that stand for paths from target to target.
        featureless: x is the nodes' numbers, as they have no features.
    """

    graphs: Sequence[Any]
    classes: tuple[str, ...]
    splits: Splits
    multi_graph: bool = False
    graph_level: bool = False
    target: str | None = None
    metapaths: tuple[tuple[str, str, str], ...] = ()
    featureless: bool = False

    @property
    def first(self) -> Any:
        """The only graph, or the first of many."""
        return self.graphs[0]

    @property
    def targets(self) -> str:
        """A row's target: one "class", several "labels", or "numbers"; see `zoo.spec.TARGETS`."""
        return ("labels" if self.first.labels.dim() == 2 else "class") if self.classes else "numbers"

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several classes at once."""
        return self.targets == "labels"
