"""Layers around the attention: blocks, feed-forward, patches; graph layers."""

from zoo.layers.block import Block, parallel, post_norm, pre_norm, res_post_norm
from zoo.layers.dropout import ByteDropout
from zoo.layers.feedforward import FeedForward, GatedFeedForward, QuickGELU
from zoo.layers.graph import (
    Embeddings,
    FeatureDropout,
    GatedSkip,
    GraphLayer,
    GraphMemory,
    InitialResidual,
    LinearSkip,
    Residual,
)
from zoo.layers.graph_attention import GraphAttention
from zoo.layers.identity_mapping import IdentityMappedQKV
from zoo.layers.init import normal, trunc_normal, xavier
from zoo.layers.norms import CentredRMSNorm
from zoo.layers.pairnorm import pair_norm
from zoo.layers.patches import PatchEmbed
from zoo.layers.pooling import AttentionPool, ClassToken, JoinPrefix, PatchMean
from zoo.layers.readout import readout_of
from zoo.layers.revin import RevIN

__all__ = [
    "AttentionPool", "Block", "ByteDropout", "CentredRMSNorm", "ClassToken", "Embeddings", "FeatureDropout",
    "FeedForward", "GatedFeedForward", "GatedSkip", "GraphAttention", "GraphLayer", "GraphMemory",
    "IdentityMappedQKV", "InitialResidual", "JoinPrefix", "LinearSkip", "PatchEmbed", "PatchMean", "QuickGELU",
    "Residual", "RevIN", "normal", "pair_norm", "parallel", "post_norm", "pre_norm", "readout_of", "res_post_norm",
    "trunc_normal", "xavier",
]  # fmt: skip
