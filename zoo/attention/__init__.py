"""The attention core: a score, a pattern, a position, a kernel.

from zoo.attention import Causal, Window, attend
out = attend(q, k, v, pattern=Causal() & Window(128)).out
"""

from zoo.attention.cache import KVCache
from zoo.attention.core import AttentionCall, AttentionOutput, Explanation, attend, explain
from zoo.attention.kernels import KERNELS
from zoo.attention.module import Attention
from zoo.attention.parts import build
from zoo.attention.patterns import And, Causal, Documents, Full, Global, Or, Padding, Pattern, Prefix, Window
from zoo.attention.positions import (
    ALiBi,
    AxialRoPE,
    Learned,
    Learned2D,
    Position,
    RelativeBias,
    RoPE,
    SinCos2D,
    Sinusoidal,
    SkipPrefix,
)
from zoo.attention.projections import ConcatHeads, FusedQKV, MeanHeads, SeparateQKV
from zoo.attention.record import attention_weights, record_attention
from zoo.attention.scores import Additive, Dot, General, LinearFeatures, ScaledDot, Score

__all__ = [
    "KERNELS", "ALiBi", "Additive", "And", "Attention", "AttentionCall", "AttentionOutput", "AxialRoPE", "Causal",
    "ConcatHeads", "Documents", "Dot", "Explanation", "Full", "FusedQKV", "General", "Global", "KVCache", "Learned",
    "Learned2D", "LinearFeatures", "MeanHeads", "Or", "Padding", "Pattern", "Position", "Prefix", "RelativeBias", "RoPE",
    "ScaledDot", "Score", "SeparateQKV", "SinCos2D", "Sinusoidal", "SkipPrefix", "Window", "attend", "attention_weights",
    "build", "explain", "record_attention",
]  # fmt: skip
