"""Whole processes: what a user waits for before anything happens. The bars are plain imports, times or plus something.

zoo.load of each shipped model may take 1.5 s beyond `import torch`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

import zoo
from benchmarks.results import Results
from benchmarks.timing import in_turn, load, summary

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "import lightning": ("-c", "import lightning"),
    "import zoo": ("-c", "import zoo"),
    "train.py --help": ("train.py", "--help"),
    "train.py fast_dev_run": ("train.py", "trainer.fast_dev_run=true"),
}


def commands() -> dict[str, tuple[str, ...]]:
    """COMMANDS, and one for each shipped model."""
    loads = {f"zoo.load {name}": ("-c", f"import torch, zoo; zoo.load({name!r})") for name in zoo.list_pretrained()}
    return {**COMMANDS, **loads}


def bars(ms: dict[str, float]) -> dict[str, float]:
    """The most milliseconds that each command may take."""
    imported = 1.5 * ms["import torch"]
    fast = 1.5 * ms["import lightning"] + 3000
    loaded = {name: ms["import torch"] + 1500 for name in ms if name.startswith("zoo.load")}
    return {"import zoo": imported, **loaded, "train.py --help": imported, "train.py fast_dev_run": fast}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")


def run(args: argparse.Namespace) -> None:
    """Time the processes in turn; the minimum counts. One row a command, all measured together."""
    results, wanted = Results("startup", args.out, args.resume), commands()
    if not set(wanted) <= set(results.rows):
        with tempfile.TemporaryDirectory() as runs:
            calls = {name: partial(process, [*command], runs) for name, command in wanted.items()}
            times = summary(in_turn(calls, args.rounds, warmup=1))
        limits = bars({name: time["min_ms"] for name, time in times.items()})
        for name, time in times.items():
            bar = limits.get(name)
            results.add(name, {**time, "bar_ms": bar, "ok": bar is None or time["min_ms"] <= bar, "load": load()})
    results.close()
    table = Table("process", "s", "bar", "verdict")
    for name, row in results.rows.items():
        limit = f"{row['bar_ms'] / 1e3:.2f}" if row["bar_ms"] else ""
        table.add_row(name, f"{row['min_ms'] / 1e3:.2f}", limit, "ok" if row["ok"] else "SLOWER")
    Console().print(table)


def process(command: list[str], runs: str) -> None:
    """One Python process to its end, its output thrown away; runs go to a folder of our own."""
    if "--help" not in command and command[0] == "train.py":
        command = [*command, f"paths.runs={runs}"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
