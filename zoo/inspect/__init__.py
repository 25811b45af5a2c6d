"""What one does with a model that is there: record its attention and residual stream, follow it, draw it."""

from zoo.inspect.edges import edge_entropy, interesting_node, uniform_entropy, weights_of
from zoo.inspect.entropy import head_entropy
from zoo.inspect.graphs import plot_entropy, plot_neighbourhood
from zoo.inspect.preprocess import to_input
from zoo.inspect.residual import record_residual
from zoo.inspect.rollout import rollout

__all__ = [
    "edge_entropy", "head_entropy", "interesting_node", "plot_entropy", "plot_neighbourhood", "record_residual",
    "rollout", "to_input", "uniform_entropy", "weights_of",
]  # fmt: skip
