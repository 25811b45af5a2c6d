"""The systems of `report history`: what each is, at which size and by which recipe it learns a set, and one training."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback

from zoo.errors import ZooError


@dataclass(frozen=True)
class System:
    """words: of train.py; style: of its line in the figure."""

    words: tuple[str, ...]
    style: Mapping[str, Any] = field(default_factory=dict)


SYSTEMS = {
    "seq2seq": System(("model=seq2seq",), {"color": "0.35"}),
    "seq2seq_lstm": System(("model=seq2seq", "model.cell=lstm"), {"color": "0.6", "linestyle": "--"}),
    "bahdanau": System(("model=bahdanau",), {"color": "C3", "linewidth": 2.4}),
    "luong_dot": System(("model=luong", "score=dot"), {"color": "tab:blue"}),
    "luong_general": System(("model=luong", "score=general"), {"color": "C9"}),
    "luong_concat": System(("model=luong", "score=additive"), {"color": "C4"}),
    "luong_local_m": System(("model=luong", "pattern=local_m"), {"color": "tab:blue", "linestyle": ":"}),
    "luong_local_p": System(("model=luong", "score=local_p"), {"color": "C9", "linestyle": ":"}),
    "transformer_2017": System(("model=transformer_2017",), {"color": "C1", "linewidth": 2.4}),
}


@dataclass(frozen=True)
class Study:
    """How a set is learned: words of train.py for all systems, for those of a model (conf/model), for one system."""

    epochs: int
    all: tuple[str, ...] = ()
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def words(self, system: str) -> tuple[str, ...]:
        """Of one system, later ones winning."""
        own = SYSTEMS[system].words
        model = own[0].removeprefix("model=")
        return (*own, *self.all, *self.of.get(model, ()), *(self.of.get(system, ()) if system != model else ()))


REVERSE = Study(epochs=2)
RECURRENT = ("model.depth=1", "model.dropout=0.3", "task.optimizer.lr=3e-3")
TEXTS = Study(
    epochs=8,
    all=(
        "model.dim=256",
        "data.batch_size=128",
        "data.buckets=50",
        "task.exact_match=false",
        "task.decode.num_beams=5",
    ),
    of={
        "seq2seq": RECURRENT,
        "bahdanau": RECURRENT,
        "luong": (*RECURRENT, "task.optimizer.lr=6e-3"),
        "luong_local_m": ("pattern.size=6",),  # D = 5
        "luong_local_p": ("score.window=5",),
        "transformer_2017": ("model.depth=2", "model.hidden=512", "model.dropout=0.15", "task.optimizer.lr=2e-3"),
    },
)
STUDIES = {"reverse": REVERSE}


def study(data: str) -> Study:
    """How a set is learned; of sets that are not named, as Multi30k is."""
    return STUDIES.get(data, TEXTS)


def same(data: str, epochs: int | None, changes: Sequence[str]) -> dict[str, Any]:
    """What two processes must agree in to share a folder."""
    return {"data": data, "epochs": epochs or study(data).epochs, "changes": list(changes)}


class Clock(Callback):
    """Processor time and time of a training, with its validations, and the target tokens that it was asked for."""

    def __init__(self) -> None:
        self.tokens, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def on_fit_start(self, trainer: Any, *_: Any) -> None:
        data = trainer.datamodule
        if not (data.val_size and data.test_size):
            raise ZooError(
                f"data={data.title} has no validation or no test pairs, which this study chooses and compares by."
            )
        self.seconds, self.cpu_seconds = -time.perf_counter(), -time.process_time()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.tokens += int(batch.target_lengths.sum()) - len(batch)  # the begin token is not asked for

    def on_fit_end(self, *_: Any) -> None:
        self.seconds += time.perf_counter()
        self.cpu_seconds += time.process_time()


def compose(system: str, seed: int, data: str, epochs: int | None, changes: Sequence[str]) -> dict[str, Any]:
    """The config of a training that leaves no files."""
    from zoo import conf
    from zoo.config import plain
    from zoo.training import folders

    folders.register()
    how = study(data)
    own = (f"data={data}", *how.words(system), f"trainer.max_epochs={epochs or how.epochs}", *changes)
    config = plain(conf.compose_train([*own, f"seed={seed}", "callbacks=none", "~logger", "paths.run=."]))
    config["trainer"]["enable_progress_bar"] = False
    return config


def train_one(system: str, seed: int, data: str, epochs: int | None, changes: Sequence[str]) -> dict[str, Any]:
    """Train and test one system: its figures, and all that it said."""
    from zoo.reports.training import Best
    from zoo.training.run import train

    config = compose(system, seed, data, epochs, changes)
    best, clock = Best(config["trainer"]["max_epochs"], "loss", "min"), Clock()
    record = train(config, None, watch=[best, clock])
    task: Any = record.task
    return {
        "system": system,
        "seed": seed,
        "parameters": sum(each.numel() for each in task.model.parameters()),
        "updates": record.trainer.global_step,
        "epoch": best.epoch + 1,
        "seconds": clock.seconds,
        "cpu_minutes": clock.cpu_seconds / 60,
        "tokens_per_second": clock.tokens / clock.seconds,
        "val_perplexity": math.exp(best.loss),
        "test_perplexity": record.metrics["test/perplexity"],
        "in_words": record.data.in_words,
        "words": [f"data={data}", *study(data).words(system), *changes],
        "torch": torch.__version__,
        "predictions": record.task.predictions,
    }
