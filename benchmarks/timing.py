"""Contestants measured in turn, so that whatever else the machine does falls on all of them alike."""

import gc
import os
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

Call = Callable[[], object]


#: Rounds that are kept whatever the time: a minimum of fewer says little.
LEAST = 3


def in_turn(
    calls: Mapping[str, Call], rounds: int, warmup: int = 3, limit: float | None = None
) -> dict[str, list[float]]:
    """Seconds of every call: each round times each contestant once, in an order turned by one place each round.

    The first `warmup` rounds (caches, allocator; the very first compiles) are not kept. The garbage collector waits outside.

    Args:
        calls: name -> what is timed.
        rounds: how many are kept, at most.
        warmup: how many are not, at most.
        limit: seconds, counted from the end of the first round, after which no further round begins once LEAST are kept;
            warming up ends after a fifth of it. None: no limit.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    began = None

    def over(share: float = 1.0) -> bool:
        return limit is not None and began is not None and perf_counter() - began > share * limit

    gc.collect()
    gc.disable()
    try:
        for turn in range(warmup + rounds):
            if turn < warmup and over(0.2):
                continue
            if len(seconds[names[0]]) >= LEAST and over():
                break
            for i in range(len(names)):
                name = names[(turn + i) % len(names)]
                start = perf_counter()
                calls[name]()
                if turn >= warmup:
                    seconds[name].append(perf_counter() - start)
            began = began or perf_counter()
    finally:
        gc.enable()
    return seconds


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Milliseconds: the minimum, the time without disturbance, which is what is compared; the median beside it."""
    return {name: {"min_ms": 1e3 * min(s), "median_ms": 1e3 * median(s)} for name, s in seconds.items()}


def finished(x: Tensor) -> Tensor:
    """x, when its device has computed it: a GPU's calls return before their work is done."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return x


def gemm_peak(
    dtype: torch.dtype, sizes: tuple[int, ...] = (512, 1024, 2048), rounds: int = 5, device: str = "cpu"
) -> float:
    """GFLOP/s of the fastest square matrix product: what this machine, with these threads, can do at most."""
    if device != "cpu":
        sizes = tuple(4 * size for size in sizes)
    best = 0.0
    for n in sizes:
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)

        def product(a: Tensor = a, b: Tensor = b, out: Tensor = out) -> Tensor:
            return finished(torch.mm(a, b, out=out))

        fastest = min(in_turn({"mm": product}, rounds, warmup=1)["mm"])
        best = max(best, 2 * n**3 / fastest / 1e9)
    return best


def load() -> str:
    """The load average over 1, 5 and 15 minutes: whether the machine was ours."""
    return " ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
