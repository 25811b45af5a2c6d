"""Our ViTs against timm's: time of a forward and of a training step, GFLOP/s, peak memory.

A row by itself, on a machine that is quiet now, into a file that the next one is added to:

    python -m benchmarks vit --only vit_small_patch16_224/train/compiled/float32/32 --seconds 60 --resume --out FILE
"""

import argparse
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import memory
from benchmarks.contestants import CALLS, DTYPES, flops, images, trio
from benchmarks.results import Results, chosen
from benchmarks.timing import gemm_peak, in_turn, load, summary
from zoo.errors import ZooError

AXES = {
    "models": ("vit_tiny_patch16_224", "vit_small_patch16_224"),
    "what": ("forward", "train", "memory"),
    "modes": ("eager", "compiled"),
    "dtypes": tuple(DTYPES),
    "batches": (1, 8, 32),
}
NAME = ("model", "what", "mode", "dtype", "batch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, values in AXES.items():
        parser.add_argument(f"--{name}", default=",".join(map(str, values)), help="default: %(default)s")
    parser.add_argument(
        "--only", default="", help="rows whose key, model/what/mode/dtype/batch, begins so; several: by commas"
    )
    parser.add_argument(
        "--list", action="store_true", help="print the keys of what would be measured, and measure nothing"
    )
    parser.add_argument("--seconds", type=float, help="a row's time after its first round; default: no limit")
    parser.add_argument("--rounds", type=int, help="default: 100 at batch 1, else 20")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")


def run(args: argparse.Namespace) -> None:
    """Measure each row that is not there yet, then print the table."""
    if args.list:
        return print(*map(key_of, rows(args)), sep="\n")
    results = Results(
        "vit", args.out, args.resume, step="forward, cross-entropy, backward, fused AdamW", device=name_of(args.device)
    )
    dtypes = sorted({row["dtype"] for row in rows(args)})
    results.session["gemm_peak_start"] = peaks(dtypes, args.device)
    for row in rows(args):
        key = key_of(row)
        if key in results.rows:
            continue
        # Parts of a compiled call come from a cache by code: without the reset a row would depend on those before it.
        torch.compiler.reset()
        measure = memory.measure if row["what"] == "memory" else timed
        results.add(key, {**row, **measure(row, args.rounds, args.seconds, args.device)})
        print(f"{key}: {results.rows[key]['ratio']:.3f} (load {load()})", flush=True)
    results.session["gemm_peak_end"] = peaks(dtypes, args.device)
    results.close()
    show(results)


def rows(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is measured: every combination asked for. Raises ZooError where `--only` leaves none."""
    every = {key_of(row): row for row in combinations(args)}
    return [every[key] for key in chosen(every, args.only)]


def peaks(dtypes: list[str], device: str) -> dict[str, float]:
    return {name: gemm_peak(DTYPES[name], device=device) for name in dtypes}


def name_of(device: str) -> str:
    if device != "cpu" and not torch.cuda.is_available():
        raise ZooError(f"--device {device}, but torch finds no CUDA device here; leave it out for the CPU.")
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)


def key_of(row: dict[str, Any]) -> str:
    return "/".join(map(str, row.values()))


def combinations(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Memory is that of eager mode: a compiler's own would hide it."""
    axes = {name: getattr(args, name).split(",") for name in AXES}
    for model, what, mode, dtype, batch in product(*axes.values()):
        if what != "memory":
            yield {"model": model, "what": what, "mode": mode, "dtype": dtype, "batch": int(batch)}
        elif mode == "eager":
            for step in CALLS:
                yield {"model": model, "what": what, "mode": step, "dtype": dtype, "batch": int(batch)}


def timed(
    row: dict[str, Any], rounds: int | None = None, limit: float | None = None, device: str = "cpu", **sizes: int
) -> dict[str, Any]:
    """One row: ratio = timm's time (the mean of its two copies) / ours; spread = how far the copies are apart."""
    models, dtype = trio(row["model"], device, **sizes), DTYPES[row["dtype"]]
    x = images(models["timm"], row["batch"])
    work = flops(models["timm"], x, row["what"]) / 1e9
    calls = {name: CALLS[row["what"]](model, x, dtype, row["mode"]) for name, model in models.items()}
    seconds = in_turn(calls, rounds or (100 if row["batch"] == 1 else 20), limit=limit)
    times = summary(seconds)
    zoo_ms, timm_ms, copy_ms = (times[name]["min_ms"] for name in ("zoo", "timm", "copy"))
    theirs = (timm_ms + copy_ms) / 2
    ratio, spread = theirs / zoo_ms, abs(timm_ms - copy_ms) / theirs
    return {
        **times, "rounds": len(seconds["zoo"]), "ratio": ratio, "spread": spread, "ok": ratio >= 1 - spread, "gflop": work,
        "gflops": {"zoo": work / zoo_ms * 1e3, "timm": work / theirs * 1e3}, "load": load(),
    }  # fmt: skip


def show(results: Results) -> None:
    """Two tables: times, and peak memory."""
    highest: dict[str, float] = {}
    for session in results.data["sessions"]:
        for when in ("gemm_peak_start", "gemm_peak_end"):
            for dtype, peak in session.get(when, {}).items():
                highest[dtype] = max(peak, highest.get(dtype, 0.0))
    print("GEMM peak:", ", ".join(f"{dtype} {peak:.0f} GFLOP/s" for dtype, peak in highest.items()))
    timed_rows = [row for row in results.rows.values() if row["what"] != "memory"]
    table = Table(*NAME, "zoo", "timm", "copy", "zoo/timm", "spread", "verdict", "GFLOP/s", "timm's", title="ms")
    for row in timed_rows:
        share = [f"{x:.0f} ({x / highest[row['dtype']]:.0%})" for x in row["gflops"].values()]
        times = [f"{row[name]['min_ms']:.2f}" for name in ("zoo", "timm", "copy")]
        verdict = "ok" if row["ok"] else "SLOWER"
        table.add_row(*_name(row), *times, f"{row['ratio']:.3f}", f"{row['spread']:.3f}", verdict, *share)
    used = Table("model", "of", "dtype", "batch", "zoo", "timm", "zoo/timm", "verdict", title="peak MB, net of imports")
    for row in results.rows.values():
        if row["what"] == "memory":
            model, _, step, dtype, batch = _name(row)
            verdict = "ok" if row["ok"] else "MORE"
            megabytes = [f"{row[side]:.0f}" for side in ("zoo", "timm")]
            used.add_row(model, step, dtype, batch, *megabytes, f"{row['ratio']:.3f}", verdict)
    for each in (table, used):
        if each.row_count:
            Console(width=160).print(each)


def _name(row: dict[str, Any]) -> list[str]:
    return [str(row[key]) for key in NAME]
