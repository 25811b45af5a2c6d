"""What is made of a graph before a model sees it, the same in training and predict: features, encodings of positions."""

from zoo.graphs.positions import (
    KINDS,
    LARGEST,
    add_positions,
    check_wanted,
    distance,
    grid,
    laplacian,
    normalised,
    random_walk,
)
from zoo.graphs.preprocess import GraphPreprocess

__all__ = [
    "KINDS", "LARGEST", "GraphPreprocess", "add_positions", "check_wanted", "distance", "grid", "laplacian", "normalised",
    "random_walk",
]  # fmt: skip
