"""Patterns: which keys a query may see.

A pattern is a value: a frozen dataclass with one method, `allowed`, index algebra on places in the sequence. That one
definition becomes the dense mask, SDPA's is_causal and FlexAttention's mask_mod. Patterns compose with `&` and `|`.
"""

from zoo.attention.patterns.base import And, Full, Or, Pattern
from zoo.attention.patterns.batch import Documents, Padding
from zoo.attention.patterns.content import TopK
from zoo.attention.patterns.index import Beyond, Causal, Global, Prefix, Window, Window2D
from zoo.attention.patterns.lsh import LSH
from zoo.attention.patterns.probsparse import ProbSparse

__all__ = [
    "LSH", "And", "Beyond", "Causal", "Documents", "Full", "Global", "Or", "Padding", "Pattern", "Prefix", "ProbSparse",
    "TopK", "Window", "Window2D",
]  # fmt: skip
