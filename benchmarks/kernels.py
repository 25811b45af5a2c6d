"""The attention kernels against each other over head widths and lengths.

It shows where `NARROW` (zoo/attention/ops/narrow.py) and `SHORT` (zoo/attention/kernels/reference.py) belong on this machine.
"""

import argparse
from collections.abc import Callable
from itertools import product

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.results import Results
from benchmarks.timing import in_turn, load, summary
from zoo.attention import LinearFeatures, ScaledDot, attend

# The linear kernel computes another score: its time is the price of that choice, not another way to the same numbers.
SCORES = {"reference": ScaledDot(), "sdpa": ScaledDot(), "linear": LinearFeatures()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--widths", default="4,8,16,32,64", help="head widths; default: %(default)s")
    parser.add_argument("--lengths", default="16,64,256,1024", help="tokens; default: %(default)s")
    parser.add_argument("--heads", type=int, default=64, help="batch x heads; default: %(default)s")
    parser.add_argument("--what", default="forward,train", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")


def run(args: argparse.Namespace) -> None:
    """One row for each (what, length, width): milliseconds of each kernel."""
    results = Results("kernels", args.out, args.resume, heads=args.heads)
    for what, length, width in product(args.what.split(","), _ints(args.lengths), _ints(args.widths)):
        key = f"{what}/{length}/{width}"
        if key not in results.rows:
            calls = {name: call(what, name, args.heads, length, width) for name in SCORES}
            times = summary(in_turn(calls, args.rounds))
            ratio = times["reference"]["min_ms"] / times["sdpa"]["min_ms"]
            results.add(key, {"what": what, "length": length, "width": width, **times, "ratio": ratio, "load": load()})
            print(f"{key}: reference / sdpa {ratio:.2f} (load {load()})", flush=True)
    results.close()
    table = Table("what", "length", "width", *SCORES, "reference/sdpa", title=f"ms, {args.heads} heads")
    for row in results.rows.values():
        times = [f"{row[name]['min_ms']:.3f}" for name in SCORES]
        table.add_row(row["what"], str(row["length"]), str(row["width"]), *times, f"{row['ratio']:.2f}")
    Console().print(table)


def call(what: str, kernel: str, heads: int, length: int, width: int) -> Callable[[], object]:
    """attend() pinned to one kernel, on four heads; with `train` also the way back to q, k and v."""
    q, k, v = torch.randn(3, max(heads // 4, 1), 4, length, width).unbind()
    score = SCORES[kernel]
    if what == "forward":
        return torch.inference_mode()(lambda: attend(q, k, v, score=score, kernel=kernel))
    leaves = [x.requires_grad_() for x in (q.clone(), k.clone(), v.clone())]
    seed = torch.randn_like(q)
    return lambda: torch.autograd.grad(attend(*leaves, score=score, kernel=kernel).out, leaves, seed)


def _ints(text: str) -> list[int]:
    return [int(x) for x in text.split(",")]
