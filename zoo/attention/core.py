"""The former name of call.py and dispatch.py."""

from zoo.attention.call import AttentionCall, AttentionOutput, check
from zoo.attention.dispatch import Explanation, Kernel, attend, choose_kernel, explain, run

__all__ = [
    "AttentionCall", "AttentionOutput", "Explanation", "Kernel", "attend", "check", "choose_kernel", "explain", "run",
]  # fmt: skip
