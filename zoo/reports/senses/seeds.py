"""The seeds of the study, several at a time: each is one core's work, and knows nothing of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Found:
    """Of one seed. described: a line on its training; pictures: names of the files that were drawn."""

    seed: int
    answers: Sequence[Any]
    described: str
    pictures: Sequence[str] = ()


def each(settings: Any, folder: Path) -> Iterator[Found]:
    """What was found, in the order of the seeds, as soon as it is there; the first draws the pictures.

    With `settings.processes` above 1 (None: the cores at hand) each process trains one seed after another. What is found does
    not depend on it.
    """
    from joblib import Parallel, cpu_count, delayed  # scikit-learn's

    processes = min(settings.processes or cpu_count(), len(settings.seeds))
    pool = Parallel(n_jobs=processes, return_as="generator")
    yield from pool(delayed(study)(settings.changes, settings.seeds[0], folder, seed) for seed in settings.seeds)


def study(changes: Sequence[str], first: int, folder: Path, seed: int) -> Found:
    """Train, ask, draw."""
    from zoo.reports.senses import compose, draw, probe, vectors

    learned = vectors.learn(compose(changes, seed))
    answers = probe.ask(learned, seed)
    words = learned.words if seed == first else ()
    pictures = [draw.draw(learned, word, folder / f"{word}.png", seed).name for word in words]
    return Found(seed, answers, learned.describe(), pictures)
