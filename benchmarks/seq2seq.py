"""Our translators beside others' with the same weights, in turn in one process: training steps, greedy decoding, beams.

python -m benchmarks seq2seq --threads 2 --only train --seconds 20 --resume --out FILE
"""

import argparse
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import translators
from benchmarks.results import Results, chosen
from benchmarks.timing import in_turn, load, summary
from benchmarks.translators import BATCH, NEW, Call, generation, marian, ours, sentences, training_step

Row = dict[str, Any]
#: what -> how many times as fast as the peer. Bahdanau's step may take 1.05 times the time of a loop by hand.
BARS = {
    "train/transformer_2017": 1.0,
    "train/bahdanau": 1 / 1.05,
    "train/luong": 1.3,
    "greedy/1": 1.3,
    "greedy/32": 1.3,
    "beams5/1": 1.2,
    "beams5/32": 1.2,
}
PEERS = {
    "train/transformer_2017": "nn.Transformer",
    "train/bahdanau": "a loop by hand",
    "train/luong": "itself with input feeding",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help=f"rows that begin so, by commas: {', '.join(BARS)}")
    parser.add_argument(
        "--seconds", type=float, default=25.0, help="a row's time after its first round; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=15, help="at most; default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")


def run(args: argparse.Namespace) -> None:
    """Measure each row that is not there yet, then print the table."""
    wanted = chosen(BARS, args.only)
    results = Results("seq2seq", args.out, args.resume, batch=BATCH, new_tokens=NEW)
    for key in wanted:
        if key not in results.rows:
            before = load()
            seconds = in_turn(contestants(key), args.rounds, warmup=2, limit=args.seconds)
            results.add(key, {**compared(seconds, BARS[key]), "load": before})
            print(f"{key}: {results.rows[key]['ratio']:.3f} (load {before})", flush=True)
    results.close()
    show(results.rows)


def contestants(key: str, batch: int = BATCH, new: int = NEW) -> dict[str, Call]:
    """Name -> call: ours, its peer, and a second copy of the peer."""
    what, name = key.split("/")
    if what != "train":
        models, given = marian(), sentences(int(name))
        return {each: generation(model, given, 5 if what == "beams5" else 1, new) for each, model in models.items()}
    given = sentences(batch)
    if name == "luong":
        models = {"zoo": ours("luong", input_feeding=False), "peer": ours("luong"), "copy": ours("luong")}
    else:
        mine = ours(name)
        make = partial(
            {"transformer_2017": translators.TorchTransformer, "bahdanau": translators.HandWritten}[name], mine
        )
        models = {"zoo": mine, "peer": make(), "copy": make()}
        translators.check_same(models, given)
    return {each: training_step(model, *given) for each, model in models.items()}


def compared(seconds: dict[str, list[float]], bar: float) -> Row:
    """ratio = the peer's time (the mean of its two copies) / ours; spread: how far the copies are apart."""
    times, (mine, peer, other) = summary(seconds), seconds
    mine_ms, peer_ms, other_ms = (times[name]["min_ms"] for name in (mine, peer, other))
    both = (peer_ms + other_ms) / 2
    named = {"zoo": times[mine], "peer": times[peer], "copy": times[other]}
    ratio = both / mine_ms
    spread = abs(peer_ms - other_ms) / both
    return {**named, "rounds": len(seconds[mine]), "ratio": ratio, "spread": spread, "bar": bar, "ok": ratio >= bar}


def show(rows: dict[str, Row]) -> None:
    """Milliseconds, the least of all rounds."""
    table = Table("what", "beside", "ms", "theirs", "copy", "ratio", "spread", "bar", "load")
    for key, row in rows.items():
        times = [f"{row[name]['min_ms']:.1f}" for name in ("zoo", "peer", "copy")]
        verdict = f"{row['bar']:.2f} {'ok' if row['ok'] else 'SLOWER'}"
        ratios = [f"{row['ratio']:.3f}", f"{row['spread']:.3f}", verdict]
        table.add_row(key, PEERS.get(key, "transformers' Marian"), *times, *ratios, row["load"])
    Console(width=140).print(table)
