"""Layers around the attention: blocks, feed-forward, patches."""

from zoo.layers.block import Block, post_norm, pre_norm
from zoo.layers.feedforward import FeedForward, QuickGELU
from zoo.layers.init import trunc_normal, xavier
from zoo.layers.patches import PatchEmbed

__all__ = ["Block", "FeedForward", "PatchEmbed", "QuickGELU", "post_norm", "pre_norm", "trunc_normal", "xavier"]
