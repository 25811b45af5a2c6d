"""Forecasters beside transformers', with the same random weights, in turn in one process: training steps; what ProbSparse costs
on long rows; what loading costs.

    python -m benchmarks forecasting --only train/patchtst --seconds 60 --resume --out FILE
"""

import argparse
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import growth, loading, series
from benchmarks.results import Results, chosen
from benchmarks.timing import in_turn, load, summary
from zoo.errors import ZooError

Row = dict[str, Any]
NAME = ("what", "model", "mode", "size")
LENGTHS = (96, 336, 720, 1440)
#: what/model/mode/size: a training step of PatchTST/42 by its dropout, Informer there and back by its length, ProbSparse there
#: and back by its width, loading by the model that is trained, memory by the rows of a file.
ROWS = [
    *(f"train/patchtst/{mode}/{dropout}" for mode in ("eager", "compiled") for dropout in ("0.3", "0.0")),
    *(f"both/informer/eager/{length}" for length in LENGTHS),
    "growth/probsparse/eager/32",
    *(f"loading/{model}/eager/etth1" for model in ("patchtst", "dlinear")),
    "memory/dlinear/eager/10000000",
]
#: How many times as fast as transformers.
FASTER = {"train/patchtst/0.3": 1.8, "train/patchtst/0.0": 1.4, "both/informer/336": 1.4, "both/informer/720": 1.6}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help=f"rows whose key, {'/'.join(NAME)}, begins so; several: by commas")
    parser.add_argument("--list", action="store_true", help="print the keys of what would be measured, and stop")
    parser.add_argument("--seconds", type=float, help="a row's time after its first round; default: no limit")
    parser.add_argument("--rounds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")


def run(args: argparse.Namespace) -> None:
    """Measure each row that is not there yet, then print the tables."""
    wanted = chosen(ROWS, args.only)
    if args.list:
        return print(*wanted, sep="\n")
    results = Results("forecasting", args.out, args.resume)
    for key in wanted:
        if key in results.rows:
            continue
        torch.compiler.reset()
        row, before = dict(zip(NAME, key.split("/"), strict=True)), load()
        found = MEASURES[row["what"]](row, args.rounds, args.seconds)
        results.add(key, {**row, **found, "load": before})
        print(f"{key}: {found['figure']:.3f} (bar {found['bar']}; load {before})", flush=True)
    if "growth" in {row["what"] for row in results.rows.values()}:
        growth.plot(results.rows, results.path.with_suffix(".png"))
    results.close()
    show(results.rows)


def train(row: Row, rounds: int, limit: float | None = None, batch: int = 128, **sizes: int) -> Row:
    """A training step of PatchTST/42 with Adam; dropout of both sides is seen to be at work."""
    rate = float(row["size"])
    models, given = series.trio(partial(series.patchtst, rate, **sizes), batch)
    apart = series.agree(models, given)
    drawn = {name: series.noise(models[name], given) for name in ("zoo", "hf")}
    if (rate > 0) != all(each > 0 for each in drawn.values()) or not 0.5 <= (drawn["zoo"] or 1) / (
        drawn["hf"] or 1
    ) <= 2:
        raise ZooError(f"Dropout {rate} is not at work alike: the deviations that it brings are {drawn}.")
    calls = {name: series.training_step(model, given, row["mode"]) for name, model in models.items()}
    return {**timed(calls, row, rounds, limit), "apart": apart, "noise": drawn}


def both_ways(row: Row, rounds: int, limit: float | None = None, batch: int = 16, **sizes: int) -> Row:
    """Informer there and back; compared at a factor that leaves nothing to chance, timed at the usual one."""
    length = int(row["size"])
    apart = series.agree(*series.trio(partial(series.informer, length, factor=length, **sizes), 2))
    models, given = series.trio(partial(series.informer, length, **sizes), batch)
    calls = {name: series.training_step(model, given, row["mode"], learns=False) for name, model in models.items()}
    return {**timed(calls, row, rounds, limit), "apart": apart}


def timed(calls: dict[str, Any], row: Row, rounds: int, limit: float | None) -> Row:
    """ratio = transformers' time (the mean of its two copies) / ours; spread: how far the copies are apart."""
    seconds = in_turn(calls, rounds, warmup=2, limit=limit)
    times = summary(seconds)
    mine, hf, copy = (times[name]["min_ms"] for name in ("zoo", "hf", "copy"))
    theirs, bar = (hf + copy) / 2, FASTER.get(f"{row['what']}/{row['model']}/{row['size']}")
    ratio, spread = theirs / mine, abs(hf - copy) / (hf + copy) * 2
    return {
        **times, "rounds": len(seconds["zoo"]), "ratio": ratio, "figure": ratio, "spread": spread, "bar": bar,
        "ok": bar is None or ratio >= bar,
    }  # fmt: skip


MEASURES = {
    "train": train, "both": both_ways, "growth": growth.measure, "loading": loading.measure, "memory": loading.memory,
}  # fmt: skip


def show(rows: dict[str, Row]) -> None:
    """Steps; then the rows that are about one number."""
    steps = Table(*NAME, "ms", "theirs", "copy", "ratio", "spread", "bar", "load", title="beside transformers")
    others = Table(*NAME, "figure", "at most", "", "load", title="alone")
    for row in rows.values():
        name, verdict = [row[key] for key in NAME], "ok" if row["ok"] else "SHORT"
        if "hf" in row:
            times = [f"{row[side]['min_ms']:.1f}" for side in ("zoo", "hf", "copy")]
            bar = "" if row["bar"] is None else f"{row['bar']} {verdict}"
            steps.add_row(*name, *times, f"{row['ratio']:.2f}", f"{row['spread']:.3f}", bar, row["load"])
        else:
            others.add_row(
                *name, f"{row['figure']:.3f} {row['unit']}", f"{row['bar']} {verdict}", row["says"], row["load"]
            )
    for table in (steps, others):
        if table.row_count:
            Console(width=150).print(table)
