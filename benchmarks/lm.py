"""Our language models beside transformers', with the same random weights, in turn in one process: greedy decoding, a training
step; the memory of reading a long prompt.

    python -m benchmarks lm --only decode/gpt2 --seconds 60 --resume --out FILE
"""

import argparse
from functools import partial
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import language, prefill
from benchmarks.results import Results, chosen
from benchmarks.timing import gemm_peak, in_turn, load, summary

Row = dict[str, Any]
NAME = ("what", "model", "mode", "weights", "batch")
#: what/model/mode/weights/batch. Of eager and compiled the better one counts; transformers is always eager and float32.
ROWS = [
    *(f"decode/{model}/{mode}/float32/1" for model in ("llama_15m", "gpt2") for mode in ("eager", "compiled")),
    *(f"decode/gpt2/{mode}/{weights}/1" for weights in ("int8", "bfloat16") for mode in ("eager", "compiled")),
    *(f"decode/{model}/{mode}/float32/8" for model in ("llama_15m", "gpt2") for mode in ("eager", "compiled")),
    "train/gpt2/eager/float32/4",
    "prefill/llama_15m/eager/float32/1",
]
#: How many times as fast as transformers; the share of a one-row product's bandwidth; the slope of log memory over log tokens.
FASTER = {"decode/1": 1.5, "decode/8": 1.3, "small/1": 3.0, "train": 1.0}
SHARE, SLOPE = {"decode/gpt2/float32/1": 0.7}, 1.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help=f"rows whose key, {'/'.join(NAME)}, begins so; several: by commas")
    parser.add_argument(
        "--list", action="store_true", help="print the keys of what would be measured, and measure nothing"
    )
    parser.add_argument("--seconds", type=float, help="a row's time after its first round; default: no limit")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")


def run(args: argparse.Namespace) -> None:
    """Measure each row that is not there yet, then print the tables."""
    wanted = chosen(ROWS, args.only)
    if args.list:
        return print(*wanted, sep="\n")
    results = Results("lm", args.out, args.resume, prompt=language.PROMPT, new_tokens=language.NEW)
    for key in wanted:
        if key in results.rows:
            continue
        # Parts of a compiled call come from a cache by code: without the reset a row would depend on those before it.
        torch.compiler.reset()
        row = dict(zip(NAME, key.split("/"), strict=True))
        results.add(key, {**row, **MEASURES[row["what"]](row, args.rounds, args.seconds), "load": load()})
        found = results.rows[key]
        print(f"{key}: {found.get('ratio', found.get('slope', 0)):.3f} (load {found['load']})", flush=True)
    results.close()
    show(results.rows)


def decode(row: Row, rounds: int, limit: float | None = None, new: int | None = None, **sizes: int) -> Row:
    """Greedy tokens, each call a whole text; a one-row product in the same rounds says what memory gives at that time."""
    import zoo

    new, batch = new or language.NEW, int(row["batch"])
    models = language.trio(row["model"], **sizes)
    mine = models["zoo"]
    ids, mask = language.prompts(mine.vocab_size, batch)
    given = (ids, mask, new)
    like = language.greedy(mine, *given)()
    if row["weights"] == "int8":
        mine = zoo.quantize(mine, "int8")
    elif row["weights"] == "bfloat16":
        mine = mine.to(torch.bfloat16)
    calls = {
        "zoo": language.greedy(mine, *given, compiled=row["mode"] == "compiled"),
        "hf": language.greedy_of_theirs(models["hf"], *given),
        "copy": language.greedy_of_theirs(models["copy"], *given),
    }
    calls["product"], moved = language.one_row_product()
    began = perf_counter()
    said = calls["zoo"]()
    first = perf_counter() - began
    same = {"plain": agreement(said, like), "hf": agreement(said, calls["hf"]())}
    found = compared(in_turn(calls, rounds, warmup=1, limit=limit), floor(row))
    product = moved / found["product"]["min_ms"] / 1e6
    rates = {name: 1e3 * new * batch / found[name]["min_ms"] for name in ("zoo", "hf", "copy")}
    read = language.read_a_token(mine)
    bandwidth = read * new / found["zoo"]["min_ms"] / 1e6
    return {
        **found, "tokens_per_second": rates, "first_call_s": first, "same_tokens": same, "bytes_a_token": read,
        "gb_per_second": {"zoo": bandwidth, "product": product}, "share": bandwidth / product,
    }  # fmt: skip


def agreement(a: torch.Tensor, b: torch.Tensor) -> float:
    """The share of rows' tokens up to the first that differs: greedy texts part for good there."""
    return (a == b).int().cumprod(-1).double().mean().item()


def train(row: Row, rounds: int, limit: float | None = None, tokens: int | None = None, **sizes: int) -> Row:
    """A step of AdamW in float32, dropout off on all sides."""
    models = language.trio(row["model"], **sizes)
    ids = torch.randint(models["zoo"].vocab_size, (int(row["batch"]), tokens or language.TRAINED))
    work = language.training_flops(models["copy"], ids) / 1e9
    calls = {name: language.training_step(model, ids) for name, model in models.items()}
    found = compared(in_turn(calls, rounds, warmup=1, limit=limit), FASTER["train"], tolerant=True)
    peak = gemm_peak(torch.float32)
    speed = {name: work / found[name]["min_ms"] * 1e3 for name in ("zoo", "hf")}
    return {**found, "gflop": work, "gflops": speed, "gemm_peak": peak, "share": speed["zoo"] / peak}


def memory(row: Row, rounds: int, limit: float | None = None, **how: Any) -> Row:
    """Peak memory above the weights of the first token after a long prompt, and how it grows with the prompt."""
    found = prefill.measure(row["model"], **how)
    return {**found, "slope": found["zoo"]["slope"], "bar": SLOPE, "ok": found["zoo"]["slope"] <= SLOPE}


MEASURES = {"decode": decode, "train": train, "prefill": memory}


def floor(row: Row) -> float:
    small = row["weights"] != "float32"
    return FASTER[f"{'small' if small else 'decode'}/{row['batch']}"]


def compared(seconds: dict[str, list[float]], bar: float, tolerant: bool = False) -> Row:
    """ratio = transformers' time (the mean of its two copies) / ours; spread: how far the copies are apart, which is allowed
    for where `tolerant`."""
    times = summary(seconds)
    zoo_ms, hf_ms, copy_ms = (times[name]["min_ms"] for name in ("zoo", "hf", "copy"))
    both = (hf_ms + copy_ms) / 2
    ratio, spread = both / zoo_ms, abs(hf_ms - copy_ms) / both
    least = bar * (1 - spread) if tolerant else bar
    return {
        **times, "rounds": len(seconds["zoo"]), "ratio": ratio, "spread": spread, "bar": bar, "ok": ratio >= least
    }  # fmt: skip


def show(rows: dict[str, Row]) -> None:
    """Decoding, the better of eager and compiled; training; memory."""
    for table in (decoding(rows), training(rows), reading(rows)):
        if table.row_count:
            Console(width=140).print(table)


def decoding(rows: dict[str, Row]) -> Table:
    number = partial("{:.3g}".format)
    head = (*NAME[1:], "tokens/s", "theirs", "ratio", "bar", "GB/s", "of a product")
    table, best = Table(*head, title="greedy decoding"), dict[str, Row]()
    for row in (row for row in rows.values() if row["what"] == "decode"):
        key = "/".join(row[name] for name in NAME if name != "mode")
        best[key] = max(best.get(key, row), row, key=lambda each: each["ratio"])
    for key, row in best.items():
        rates, share = row["tokens_per_second"], f"{row['share']:.0%}"
        enough = row["ok"] and row["share"] >= SHARE.get(key, 0)
        table.add_row(
            *(row[name] for name in NAME[1:]),
            *(number(rates["zoo"]), number((rates["hf"] + rates["copy"]) / 2), f"{row['ratio']:.2f}"),
            *(f"{row['bar']} {'ok' if enough else 'SHORT'}", number(row["gb_per_second"]["zoo"])),
            f"{share} (bar {SHARE[key]:.0%})" if key in SHARE else share,
        )
    return table


def training(rows: dict[str, Row]) -> Table:
    head = ("model", "batch", "ms", "theirs", "copy", "ratio", "spread", "of the GEMM peak", "verdict")
    table = Table(*head, title="training step")
    for row in (row for row in rows.values() if row["what"] == "train"):
        times = [f"{row[name]['min_ms']:.1f}" for name in ("zoo", "hf", "copy")]
        ratios = [f"{row['ratio']:.3f}", f"{row['spread']:.3f}", f"{row['share']:.0%}"]
        table.add_row(row["model"], row["batch"], *times, *ratios, "ok" if row["ok"] else "SLOWER")
    return table


def reading(rows: dict[str, Row]) -> Table:
    head = ("model", "of", *map(str, prefill.LENGTHS), "slope", f"bar {SLOPE}")
    table = Table(*head, title="MB above the weights to read so many tokens")
    for row in (row for row in rows.values() if row["what"] == "prefill"):
        for side in ("zoo", "hf"):
            megabytes = [f"{each:.0f}" for each in row[side]["mb"].values()]
            verdict = ("ok" if row["ok"] else "STEEP") if side == "zoo" else ""
            table.add_row(row["model"], side, *megabytes, f"{row[side]['slope']:.3f}", verdict)
    return table
