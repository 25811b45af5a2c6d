"""Graph attention against PyTorch Geometric's with the same weights: time and peak memory of a layer forward and backward on
a graph as large as ogbn-arxiv, its time against the number of edges, and a training epoch on Cora."""

import argparse
import math
import warnings
from collections.abc import Callable
from statistics import linear_regression
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from benchmarks import graphs, memory
from benchmarks.epoch import CONF
from benchmarks.results import FOLDER, Results, chosen
from benchmarks.timing import in_turn, load, summary
from zoo import build
from zoo.config import instantiate, plain
from zoo.tasks.fit import fit

Row = dict[str, Any]
# How many times faster than PyG's, how much of its memory, and the slope of log time over log edges; None: just measured.
FASTER = {"GATConv": 3.5, "GATv2Conv": 2.5, "TransformerConv": 1.5}
MEMORY = {"GATConv": 1 / 3, "GATv2Conv": 1 / 3, "TransformerConv": None}
SLOPE, EPOCH = 1.1, 1.5
# Half the width of the other rows: the largest of these graphs would want 8 GB.
SIZES = [graphs.Size(edges // 7, edges, dim=64, head_dim=32) for edges in (1_000_000, 2_000_000, 4_000_000, 8_000_000)]
NAMES = [*(f"{kind}/{conv}" for kind in ("layer", "memory") for conv in FASTER), "edges/GATConv", "epoch/cora"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help=f"rows that begin so (layer,memory/GATConv), of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="of layers; an epoch has 20 x more; default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")
    parser.set_defaults(out=FOLDER / "gat.json")


def run(args: argparse.Namespace) -> None:
    """Measure each row that is not there yet, then print the tables."""
    warnings.filterwarnings("ignore", ".*no incoming edge.*")  # a random graph has such nodes
    wanted = chosen(NAMES, args.only)
    results = Results("gat", args.out, args.resume, graph=graphs.ARXIV._asdict())
    for name in wanted:
        if name in results.rows:
            continue
        kind, what = name.split("/")
        results.add(name, {**MEASURES[kind](what, args.rounds), "load": load()})
        row = results.rows[name]
        print(f"{name}: {row.get('ratio', row.get('slope')):.3f} (load {row['load']})", flush=True)
    results.close()
    show(results.rows)


def layer(conv: str, rounds: int) -> Row:
    """Forward and backward, PyG's time over ours; ours on edges sorted before and sorted in every call."""
    return compared(graphs.layer_calls(conv), rounds, FASTER[conv], warmup=1)


def epoch(data: str, rounds: int) -> Row:
    """A training epoch of model=gat, PyG's time over ours."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = plain(compose("train", overrides=["model=gat", f"data={data}", "paths.run=."]))
    source = instantiate(config["data"])
    source.setup()
    model = build(fit(config, source.spec)["model"])
    (batch,) = source.train_dataloader()
    return compared(graphs.epoch_calls(model, batch), 20 * rounds, EPOCH)


def compared(calls: dict[str, graphs.Call], rounds: int, bar: float | None, **how: int) -> Row:
    """ratio = PyG's time (the mean of its two copies) / ours; spread, how far the copies are apart, is the tolerance."""
    times = summary(in_turn(calls, rounds, **how))
    pyg, copy = (times[name]["min_ms"] for name in ("pyg", "copy"))
    theirs = (pyg + copy) / 2
    spread = abs(pyg - copy) / theirs
    ratios = {name.replace("zoo", "ratio"): theirs / times[name]["min_ms"] for name in times if name.startswith("zoo")}
    return {**times, **ratios, "spread": spread, "bar": bar, "ok": bar is None or ratios["ratio"] >= bar * (1 - spread)}


def peaks(conv: str, rounds: int) -> Row:
    """Megabytes of one forward and backward, each in a fresh process; ratio = ours / PyG's."""
    question = {"name": conv, "threads": torch.get_num_threads(), "size": graphs.ARXIV}
    used = {side: memory.in_process("benchmarks.graphs", repeats=1, side=side, **question) for side in ("zoo", "pyg")}
    ratio, bar = used["zoo"] / used["pyg"], MEMORY[conv]
    return {**used, "ratio": ratio, "bar": bar, "ok": bar is None or ratio <= bar}


def growth(conv: str, rounds: int) -> Row:
    """The slope of log time over log edges, nodes growing alike: 1 is linear."""
    times = summary(in_turn(graphs.edges_calls(SIZES, conv), rounds, warmup=1))
    points = [(math.log(int(edges)), math.log(time["min_ms"])) for edges, time in times.items()]
    slope = linear_regression(*zip(*points, strict=True)).slope
    sizes = [size._asdict() for size in SIZES]
    return {"times": times, "sizes": sizes, "slope": slope, "bar": SLOPE, "ok": slope <= SLOPE}


MEASURES: dict[str, Callable[[str, int], Row]] = {"layer": layer, "memory": peaks, "edges": growth, "epoch": epoch}


def show(rows: dict[str, Row]) -> None:
    """Three tables: times (`sorting`: the edges are sorted in every call), peak memory, growth; each row with its load."""
    timed = Table("ms", "zoo", "sorting", "PyG", "copy", "PyG/zoo", "spread", "bar", "verdict", "load")
    used = Table("peak MB", "zoo", "PyG", "zoo/PyG", "bar", "verdict", "load")
    grown = Table("edges", "ms", "ns an edge", "slope", "bar", "verdict", "load")
    for name, row in rows.items():
        end = ["" if row["bar"] is None else f"{row['bar']:.2f}", "ok" if row["ok"] else "MISSED", row.get("load", "")]
        if "spread" in row:
            times = [f"{row[key]['min_ms']:.1f}" if key in row else "" for key in TIMES]
            timed.add_row(name, *times, f"{row['ratio']:.2f}", f"{row['spread']:.3f}", *end)
        elif "slope" in row:
            for edges, time in row["times"].items():
                grown.add_row(edges, f"{time['min_ms']:.0f}", f"{1e6 * time['min_ms'] / int(edges):.0f}")
            grown.add_row("", "", "", f"{row['slope']:.3f}", *end)
        else:
            used.add_row(name, f"{row['zoo']:.0f}", f"{row['pyg']:.0f}", f"{row['ratio']:.3f}", *end)
    for each in (timed, used, grown):
        if each.row_count:
            Console(width=140).print(each)


TIMES = ("zoo", "zoo_sort", "pyg", "copy")
