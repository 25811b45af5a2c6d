"""Patterns for images: among the patches, with class and register tokens that see all and are seen by all."""

import warnings

import torch

from zoo.attention import Beyond, Full, Global, Pattern
from zoo.errors import ZooError


def on_patches(pattern: Pattern, grid: tuple[int, int], prefix: int, num_heads: int) -> Pattern:
    """`pattern | Global(prefix)`: what the tokens of an image see, `prefix` of them before the patches.

    A choice by content is made among the patches. A pattern that hides no patch of such a grid is as good as Full(): that is
    said, once.

    Raises: ZooError for the edges of a graph.
    """
    if pattern.of_graph:
        raise ZooError(f"{pattern} is for the edges of a graph, and an image has none: take full, window or window_2d.")
    if hides_nothing(pattern, grid[0] * grid[1], prefix, num_heads):
        warnings.warn(
            f"{pattern} hides nothing on {grid[0]} x {grid[1]} patches: every patch sees all of them, as with Full(). For it "
            "to do something take a smaller size, or more patches (model.patch_size).",
            stacklevel=2,
        )
    return (pattern & Beyond(prefix) if pattern.by_content and prefix else pattern) | Global(prefix)


def hides_nothing(pattern: Pattern, patches: int, prefix: int, num_heads: int) -> bool:
    """Whether a pattern other than Full() lets every patch see all; False for one patch, and where the batch decides."""
    if isinstance(pattern, Full) or pattern.by_content or not pattern.is_static or patches == 1:
        return False
    place = torch.arange(prefix, prefix + patches, device="cpu")  # whatever device the model is built on
    head = torch.arange(num_heads, device="cpu").view(1, -1, 1, 1)
    return bool(
        pattern.allowed(torch.zeros_like(head[:, :1]), head, place.view(1, 1, -1, 1), place.view(1, 1, 1, -1)).all()
    )
