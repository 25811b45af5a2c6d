"""The seeds of the study, several at a time: each is one core's work, and knows nothing of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def each(configs: Mapping[int, dict[str, Any]], processes: int | None, folder: Path) -> Iterator[Found]:
    """What was found, in the order of the seeds, as soon as it is there; the first draws the pictures.

    Args:
        configs: of each seed's training.
        processes: how many train at a time, each one seed after another; None: one a core. What is found does not depend on it.
    """
    from joblib import Parallel, cpu_count, delayed  # scikit-learn's

    first = next(iter(configs))
    pool = Parallel(n_jobs=min(processes or cpu_count(), len(configs)), return_as="generator")
    yield from pool(delayed(study)(config, seed, folder, seed == first) for seed, config in configs.items())


def study(config: dict[str, Any], seed: int, folder: Path, drawn: bool) -> Found:
    """Train, ask, draw."""
    from zoo.reports.senses import draw, probe, vectors

    learned = vectors.learn(config)
    answers = probe.ask(learned, seed)
    words = learned.words if drawn else ()
    pictures = [draw.draw(learned, word, folder / f"{word}.png", seed).name for word in words]
    return Found(seed, answers, learned.describe(), pictures)
