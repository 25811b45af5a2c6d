"""One vector a word, or one a sentence: Word2Vec and BERT on the same sentences around words of two senses.

    python -m zoo report senses
    python -m zoo report senses seeds=0 trainer.max_epochs=10 model.dim=32

For each seed the sentences of `data=senses` are made, other frames held out each time. On those of the training part Word2Vec
(gensim, skip-gram) learns a vector for each token, and our BERT learns to guess hidden ones; neither sees a held-out frame, nor
is told any sense. Then a logistic regression is told the senses of manga, banco and vela in sentences of training frames, and
asked for them in those of held-out frames. Both senses are as frequent: who knows the word alone is right in half of them.
Settings: seeds, processes (how many seeds are trained at a time; by default one a core), out (a folder: senses.csv, manga.png,
banco.png, vela.png), and whatever train.py takes of model, data, task, trainer, recipe, tokenizer, score and position.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, nearest
from zoo.files import write_text

GROUPS = ("model", "data", "task", "trainer", "recipe", "tokenizer", "score", "position")
#: What this study trains where nobody says otherwise.
USUAL = (
    "model=bert", "data=senses", "tokenizer=words", "tokenizer.lower=true", "model.dim=64", "model.depth=2",
    "model.attn_dropout=0", "trainer.max_epochs=40", "data.batch_size=32", "task.optimizer.lr=3e-3", "callbacks=none",
    "~logger", "paths.run=.",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    seeds: tuple[int, ...] = (0, 1, 2)
    processes: int | None = None
    out: str | None = None
    changes: tuple[str, ...] = ()


def run(words: Sequence[str]) -> None:
    """Train, ask, print the table, write senses.csv and a figure a word."""
    from zoo.console import console, table
    from zoo.reports.senses import probe, seeds
    from zoo.training.folders import stamp

    settings = read(words)
    folder = Path(settings.out or Path("runs", "reports", f"{stamp()}_senses")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    answers: list[probe.Answers] = []
    pictures: list[str] = []
    configs = {seed: compose(settings.changes, seed) for seed in settings.seeds}
    for found in seeds.each(configs, settings.processes, folder):
        answers += found.answers
        pictures += found.pictures
        write_text(folder / "senses.csv", as_csv(answers))  # what there is, should it be stopped
        console().print(f"seed {found.seed}: {found.described}", style="dim")
    rows = probe.summarise(answers)
    frames = rows[0].frames
    table(
        [row.cells() for row in rows],
        f"right senses on held-out frames, seeds {', '.join(map(str, settings.seeds))}",
        ("", *dict.fromkeys(each.word for each in answers), "all", f"95 % interval ({frames} frames)"),
    )
    console().print(f"\nsenses.csv, {', '.join(pictures)} are in {folder}", soft_wrap=True)


def compose(changes: Sequence[str], seed: int) -> dict[str, Any]:
    """The config of a training that leaves no files; the seed draws weights, sentences and what is held out."""
    from zoo import conf
    from zoo.config import plain
    from zoo.training import folders

    folders.register()
    config = plain(conf.compose_train([*USUAL, *changes, f"seed={seed}", f"data.split_seed={seed}"]))
    config["trainer"] |= {"enable_progress_bar": False, "check_val_every_n_epoch": config["trainer"]["max_epochs"]}
    return config


def as_csv(answers: Sequence[Any]) -> str:
    """A line a seed, kind of vectors and word."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["seed", "vectors", "word", "sentences", "right", "accuracy", "frames"])
    for each in answers:
        writer.writerow([each.seed, each.vectors, each.word, each.sentences, each.right, each.accuracy, each.frames])
    return text.getvalue()


def read(words: Sequence[str]) -> Settings:
    """Settings from key=value words. Raises: ZooError for a word that is none, or a value that cannot be."""
    known = [each.name for each in fields(Settings) if each.name != "changes"]
    given: dict[str, Any] = {}
    changes = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in ("data", "model"):
            if (key, value) not in (("data", "senses"), ("model", "bert")):
                raise ZooError(f"{word}: this study is of model=bert and data=senses; leave it out.")
        elif equals and key.lstrip("+~").partition(".")[0] in GROUPS:
            changes.append(word)
        elif not equals or key not in known:
            raise ZooError(f"{word!r} is not a setting of this study; {nearest(key, [*known, *GROUPS])}")
        elif key == "seeds":
            parts = [part.strip() for part in value.strip("[]()").split(",")]
            if not all(part.isdecimal() for part in parts):
                raise ZooError(f"seeds={value}: whole numbers are meant, such as seeds=0,1,2.")
            given[key] = tuple(dict.fromkeys(map(int, parts)))
        elif key == "processes":
            if not value.isdecimal() or not int(value):
                raise ZooError(f"processes={value} is not a number of processes; give 1 or more.")
            given[key] = int(value)
        else:
            given[key] = value
    return Settings(**given, changes=tuple(changes))
