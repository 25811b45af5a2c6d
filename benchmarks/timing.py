"""Contestants measured in turn, so that whatever else the machine does falls on all of them alike."""

import gc
import os
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

import torch

Call = Callable[[], object]


def in_turn(calls: Mapping[str, Call], rounds: int, warmup: int = 3) -> dict[str, list[float]]:
    """Seconds of every call: each round times each contestant once, in an order turned by one place each round.

    The first `warmup` rounds (compilation, caches, allocator) are not kept. The garbage collector waits outside.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for turn in range(warmup + rounds):
            for i in range(len(names)):
                name = names[(turn + i) % len(names)]
                start = perf_counter()
                calls[name]()
                if turn >= warmup:
                    seconds[name].append(perf_counter() - start)
    finally:
        gc.enable()
    return seconds


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Milliseconds: the minimum, the time without disturbance, which is what is compared; the median beside it."""
    return {name: {"min_ms": 1e3 * min(s), "median_ms": 1e3 * median(s)} for name, s in seconds.items()}


def gemm_peak(dtype: torch.dtype, sizes: tuple[int, ...] = (512, 1024, 2048), rounds: int = 5) -> float:
    """GFLOP/s of the fastest square matrix product: what this machine, with these threads, can do at most."""
    best = 0.0
    for n in sizes:
        a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
        out = torch.empty_like(a)
        fastest = min(in_turn({"mm": lambda a=a, b=b, out=out: torch.mm(a, b, out=out)}, rounds, warmup=1)["mm"])
        best = max(best, 2 * n**3 / fastest / 1e9)
    return best


def load() -> str:
    """The load average over 1, 5 and 15 minutes: whether the machine was ours."""
    return " ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
