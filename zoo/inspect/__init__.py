"""What one does with a model that is there: record its attention and residual stream, follow it, draw it."""

from zoo.inspect.entropy import head_entropy
from zoo.inspect.preprocess import to_input
from zoo.inspect.residual import record_residual
from zoo.inspect.rollout import rollout

__all__ = ["head_entropy", "record_residual", "rollout", "to_input"]
