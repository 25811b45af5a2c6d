"""Peak resident memory of reading a prompt, above the weights: each length in a process of its own."""

import json
import math
import os
import sys
from statistics import linear_regression
from typing import Any

from benchmarks.memory import forget_highest, highest, in_process

LENGTHS = (1024, 2048, 4096, 8192)


def measure(model: str, lengths: tuple[int, ...] = LENGTHS, **sizes: int) -> dict[str, Any]:
    """Megabytes by length of zoo and of transformers ("hf"), and the slope of their logarithms."""
    import torch

    how = {"model": model, "threads": torch.get_num_threads(), "sizes": sizes}
    found: dict[str, Any] = {}
    for side in ("zoo", "hf"):
        megabytes = {n: in_process("benchmarks.prefill", side=side, tokens=n, **how) for n in lengths}
        points = [(math.log(n), math.log(max(each, 1e-3))) for n, each in megabytes.items()]
        found[side] = {"mb": megabytes, "slope": linear_regression(*zip(*points, strict=True)).slope}
    return found


def peak(side: str, model: str, tokens: int, threads: int, sizes: dict[str, int]) -> float:
    """Megabytes by which one new token after `tokens` others raises a process that has the model, and has used it once."""
    import psutil
    import torch

    from benchmarks.language import greedy, greedy_of_theirs, theirs

    torch.set_num_threads(threads)
    made = theirs(model, **sizes)
    if side == "zoo":
        import zoo

        made = zoo.convert(made).eval()
    call = {"zoo": greedy, "hf": greedy_of_theirs}[side]

    def run(n: int) -> None:
        ids = torch.randint(64, (1, n), generator=torch.Generator().manual_seed(0))
        call(made, ids, torch.ones_like(ids, dtype=torch.bool), 1)()

    run(8)
    forget_highest()
    before = psutil.Process().memory_info().rss
    run(tokens)
    return (highest() - before) / 1e6


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(peak(**json.loads(sys.argv[1])))
