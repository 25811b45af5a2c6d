"""What another job on the machine costs: training of the default runs beside one process that keeps a core busy.

Whole runs of train.py, quiet and busy in turn; the shortest training (summary.json's wall_time_s) of each counts. Threads
that spin while they wait make such a run several times slower; see zoo/machine.py and zoo/training/threads.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.results import Results
from benchmarks.timing import load, summary

ROOT = Path(__file__).parents[1]
BAR = 1.5
RUNS = {"vit": ["trainer.max_epochs=15"], "gat": ["model=gat", "trainer.max_epochs=100"]}
FEW = ["callbacks.figures=null", "+trainer.enable_progress_bar=false", "test=false"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; default: %(default)s")
    parser.add_argument("overrides", nargs="*", help="one run as train.py takes it, in place of the default runs")


def run(args: argparse.Namespace) -> None:
    """One row a run."""
    results = Results("busy", args.out, args.resume)
    runs = {" ".join(args.overrides): args.overrides} if args.overrides else RUNS
    for name, overrides in runs.items():
        if name in results.rows:
            continue
        before, seconds = load(), {"quiet": [], "busy": []}
        for _ in range(args.rounds):
            seconds["quiet"].append(training(overrides))
            with busy():
                seconds["busy"].append(training(overrides))
        times = summary(seconds)
        ratio = times["busy"]["min_ms"] / times["quiet"]["min_ms"]
        results.add(name, {**times, "ratio": ratio, "bar": BAR, "ok": ratio <= BAR, "load": before})
    results.close()
    table = Table("run", "quiet, s", "busy, s", "ratio", f"bar {BAR}")
    for name, row in results.rows.items():
        both = [f"{row[side]['min_ms'] / 1e3:.2f}" for side in ("quiet", "busy")]
        table.add_row(name, *both, f"{row['ratio']:.2f}", "ok" if row["ok"] else "SLOWER")
    Console().print(table)


@contextmanager
def busy() -> Iterator[None]:
    """One process that never waits."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def training(overrides: list[str]) -> float:
    """Seconds of training of one run of train.py, in a fresh process as a user has it: no word about its threads."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "train.py", *FEW, *overrides, f"paths.runs={runs}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        (file,) = Path(runs).glob("*/summary.json")
        return float(json.loads(file.read_text())["wall_time_s"])
