"""The attention core: a score, a pattern, a position, a kernel.

from zoo.attention import Causal, Window, attend
out = attend(q, k, v, pattern=Causal() & Window(128)).out
"""

from zoo.attention.cache import KVCache
from zoo.attention.cache_bounded import BoundedCache, HeavyHitterCache, SinkCache
from zoo.attention.cache_quantized import QuantizedCache
from zoo.attention.caches import ModelCache, make_cache
from zoo.attention.call import AttentionCall, AttentionOutput
from zoo.attention.dispatch import Explanation, attend, explain
from zoo.attention.dropout import byte_dropout
from zoo.attention.edges import Edges, EdgeWeights, GraphEdges
from zoo.attention.graph_scores import (
    AdditiveEdgeScore,
    EdgeProduct,
    EdgeSum,
    GATScore,
    GATv2Score,
    MultiplicativeEdgeScore,
)
from zoo.attention.kernels import KERNELS
from zoo.attention.module import Attention
from zoo.attention.parts import build, make_pattern, unbind
from zoo.attention.patterns import (
    And,
    Beyond,
    Causal,
    Documents,
    Full,
    Global,
    Or,
    Padding,
    Pattern,
    Prefix,
    TopK,
    Window,
    Window2D,
)
from zoo.attention.positions import (
    ALiBi,
    AxialRoPE,
    Laplacian,
    Learned,
    Learned2D,
    Position,
    PositionWrapper,
    RandomWalk,
    RelativeBias,
    RoPE,
    ShortestPath,
    SinCos2D,
    Sinusoidal,
    SkipPrefix,
)
from zoo.attention.projections import (
    ConcatHeads,
    EdgeProjection,
    FusedQKV,
    JoinHeads,
    MeanHeads,
    OutputProjection,
    Projection,
    SeparateQKV,
    SharedKV,
    SharedQKV,
)
from zoo.attention.record import attention_weights, join_steps, record_attention
from zoo.attention.scores import (
    Additive,
    AdditiveForm,
    Dot,
    General,
    LinearFeatures,
    ScaledDot,
    Score,
    ScoreWrapper,
    Sum,
)

__all__ = [
    "KERNELS",
    "ALiBi",
    "Additive",
    "AdditiveEdgeScore",
    "AdditiveForm",
    "And",
    "Attention",
    "AttentionCall",
    "AttentionOutput",
    "AxialRoPE",
    "Beyond",
    "BoundedCache",
    "Causal",
    "ConcatHeads",
    "Documents",
    "Dot",
    "EdgeProduct",
    "EdgeProjection",
    "EdgeSum",
    "EdgeWeights",
    "Edges",
    "Explanation",
    "Full",
    "FusedQKV",
    "GATScore",
    "GATv2Score",
    "General",
    "Global",
    "GraphEdges",
    "HeavyHitterCache",
    "JoinHeads",
    "KVCache",
    "Laplacian",
    "Learned",
    "Learned2D",
    "LinearFeatures",
    "MeanHeads",
    "ModelCache",
    "MultiplicativeEdgeScore",
    "Or",
    "OutputProjection",
    "Padding",
    "Pattern",
    "Position",
    "PositionWrapper",
    "Prefix",
    "Projection",
    "QuantizedCache",
    "RandomWalk",
    "RelativeBias",
    "RoPE",
    "ScaledDot",
    "Score",
    "ScoreWrapper",
    "SeparateQKV",
    "SharedKV",
    "SharedQKV",
    "ShortestPath",
    "SinCos2D",
    "SinkCache",
    "Sinusoidal",
    "SkipPrefix",
    "Sum",
    "TopK",
    "Window",
    "Window2D",
    "attend",
    "attention_weights",
    "build",
    "byte_dropout",
    "explain",
    "join_steps",
    "make_cache",
    "make_pattern",
    "record_attention",
    "unbind",
]  # fmt: skip
