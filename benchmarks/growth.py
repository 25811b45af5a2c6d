"""How the time of attention grows with the length of a row: ProbSparse beside full attention."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import linear_regression
from typing import Any

import torch

from benchmarks.timing import in_turn, summary
from zoo.attention import Full, Pattern, attend

LENGTHS = (1024, 2048, 4096, 8192, 16384)
BAR, HEADS = 1.25, 8
MANY = 4096  # tokens above which full attention is timed once


def measure(
    row: dict[str, Any], rounds: int, limit: float | None = None, lengths: tuple[int, ...] = LENGTHS
) -> dict[str, Any]:
    """Milliseconds there and back on [1, 8, N, width], and the slope of their logarithms over those of N."""
    from zoo.attention import ProbSparse

    width, kinds = int(row["size"]), {"probsparse": ProbSparse(), "full": Full()}
    times: dict[str, dict[str, float]] = {name: {} for name in kinds}
    for n in lengths:
        for name, pattern in kinds.items():
            few = name == "full" and n > MANY  # seconds a call
            seconds = in_turn({name: call(pattern, n, width)}, 1 if few else rounds, 0 if few else 1, limit)
            times[name][str(n)] = summary(seconds)[name]["min_ms"]
    slopes = {name: slope(each) for name, each in times.items()}
    at, least = str(lengths[-1]), min(times["full"], key=lambda n: (times["full"][n] < times["probsparse"][n], int(n)))
    ratio = times["full"][at] / times["probsparse"][at]
    return {
        "ms": times, "slopes": slopes, "figure": slopes["probsparse"], "unit": "slope", "bar": BAR,
        "ok": slopes["probsparse"] <= BAR,
        "says": f"full {slopes['full']:.2f}; at {at} {ratio:.1f} times as fast, faster from {least} on",
    }  # fmt: skip


def slope(times: Mapping[str, float]) -> float:
    """Of log time over log length."""
    points = [(math.log(int(n)), math.log(each)) for n, each in times.items()]
    return linear_regression(*zip(*points, strict=True)).slope


def call(pattern: Pattern, n: int, width: int) -> Callable[[], object]:
    """attend() in training with the kernel that is chosen, and the way back to q, k and v."""
    q, k, v, seed = (torch.randn(1, HEADS, n, width) for _ in range(4))
    leaves = [x.requires_grad_() for x in (q, k, v)]
    return lambda: torch.autograd.grad(attend(*leaves, pattern=pattern, training=True).out, leaves, seed)


def plot(rows: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Both curves with their slopes, on logarithmic axes."""
    from matplotlib.figure import Figure

    from zoo.files import replacing

    axes = (figure := Figure(figsize=(5, 3.5), layout="constrained")).subplots()
    for row in (row for row in rows.values() if row["what"] == "growth"):
        for name, times in row["ms"].items():
            label = f"{name}, slope {row['slopes'][name]:.2f}"
            axes.loglog([int(n) for n in times], list(times.values()), marker="o", base=2, label=label)
    axes.set(xlabel="tokens", ylabel="ms there and back", title=f"[1, {HEADS}, N, width] on a CPU")
    axes.legend()
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)
