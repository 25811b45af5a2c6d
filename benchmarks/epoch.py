"""An epoch of the default run (train.py's own parts: Lightning, callbacks, logger, checkpoints) against a bare loop.

Both train, clip, step the schedule and validate the same model on the same data; they take turns, epoch by epoch, in
one process: the bare epoch runs inside a callback between two of Lightning's.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from benchmarks.results import Results
from benchmarks.timing import load, summary
from zoo import build
from zoo.config import instantiate, plain
from zoo.tasks.fit import fit
from zoo.tasks.optim import build_optimizer
from zoo.tasks.schedule import build_schedule
from zoo.training.run import train

CONF = Path(__file__).parents[1] / "conf"
BAR = 1.10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=10, help="epochs of each; default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of torch; default: its own choice")
    parser.add_argument("overrides", nargs="*", help="as train.py takes them: model=cnn data=mnist")


def run(args: argparse.Namespace) -> None:
    """One row for each list of overrides."""
    results = Results("epoch", args.out, args.resume)
    key = " ".join(args.overrides) or "default"
    if key not in results.rows:
        times = summary(alternate(args.overrides, args.rounds))
        ratio = times["run"]["min_ms"] / times["bare"]["min_ms"]
        results.add(key, {**times, "ratio": ratio, "ok": ratio <= BAR, "load": load()})
    results.close()
    table = Table("run", "train.py, ms", "bare loop, ms", "ratio", f"bar {BAR}")
    for name, row in results.rows.items():
        both = [f"{row[side]['min_ms']:.0f}" for side in ("run", "bare")]
        table.add_row(name, *both, f"{row['ratio']:.3f}", "ok" if row["ok"] else "SLOWER")
    Console().print(table)


def alternate(overrides: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each epoch of the run and of the bare loop, the first of each left out."""
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(CONF), version_base="1.3"):
        more = [f"paths.runs={folder}", f"paths.run={folder}", f"trainer.max_epochs={rounds + 2}"]
        config = compose("train", overrides=[*overrides, *more, "test=false"])
        turns = Turns(plain(config))
        train(config, folder, watch=[turns])
    return {name: seconds[1:] for name, seconds in turns.seconds.items()}


class Turns(Callback):
    """Time from one epoch's beginning to the next one's, without the bare epoch that runs at each beginning.

    First of the callbacks, so the clock starts before the others' work of an epoch, and stops after all of it.
    """

    def __init__(self, config: dict[str, Any]):
        self.bare = bare_epoch(config)
        self.start: float | None = None
        self.seconds: dict[str, list[float]] = {"run": [], "bare": []}

    def on_train_epoch_start(self, *_: Any) -> None:
        if self.start is not None:
            self.seconds["run"].append(perf_counter() - self.start)
            start = perf_counter()
            self.bare()
            self.seconds["bare"].append(perf_counter() - start)
        self.start = perf_counter()


def bare_epoch(config: dict[str, Any]) -> Callable[[], None]:
    """What one would write without any framework for the same recipe: train on all batches, mixed as it says, then validate."""
    data, how = instantiate(config["data"]), config["task"]
    data.setup()
    model = build(fit(config, data.spec)["model"])
    train, val = data.train_dataloader(), data.val_dataloader()
    optimizer = build_optimizer(model, how["optimizer"])
    epochs = config["trainer"]["max_epochs"]
    schedule = how["schedule"] and build_schedule(optimizer, how["schedule"], len(train) * epochs, epochs)
    clip = config["trainer"]["gradient_clip_val"]
    mixing = instantiate(how["mixing"]) if how.get("mixing") else None

    def epoch() -> None:
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            if mixing:
                images, labels = mixing(images, labels, model.num_classes)
            loss = F.cross_entropy(model(images), labels, label_smoothing=how["label_smoothing"])
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if schedule:
                schedule.step()
        model.eval()
        with torch.no_grad():
            for images, labels in val:
                logits = model(images)
                F.cross_entropy(logits, labels), (logits.argmax(-1) == labels).sum()

    return epoch
