"""Pairs of one's own: `data=pairs`, of two files of lines or of one of two columns."""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import torch

from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.lines import check_filled, read_both, read_lines
from datamodules.pairs.module import PairData
from datamodules.splits import Splits, at_random
from zoo.declared import declared
from zoo.errors import ZooError, listed


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class PairFiles(PairData):
    """Two files of UTF-8, line n of one for line n of the other, or one with a tab between the two. Each may be a .gz.

    Args:
        source, target: the files of what is read and of what is said.
        path: in place of these a .tsv: what is read, a tab, what is said; further columns are not read. Or the two files, as
            in "a.txt,b.txt".
        split: shares of training, validation and test, of the different sources: pairs of one source come into one part.

    Raises: ZooError for files of different numbers of lines (both), empty lines and lines without a tab (their numbers), what
        is no UTF-8, a .gz that is broken, and shares that are none.
    """

    source: InitVar[str | None] = None  # type: ignore[assignment]  # afterwards the loaded set, as of every data module
    target: str | None = None
    path: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.9, 0.05, 0.05])
    tokenizer: Any = field(default_factory=lambda: {"kind": "bpe", "vocab_size": 4000})
    usual_size = 4000
    buckets: int = 50

    places = ("path", "source", "target")
    called = "pairs"

    def __post_init__(self, source: str | None):
        super().__post_init__()
        if self.path and source == self.target == self.path:  # whoever tests a run says with one word where they lie
            source = self.target = None
        if self.path and (source or self.target):
            raise ZooError(
                f"data.path={self.path} is in place of data.source and data.target; leave out that or these."
            )
        self.sides = (source, self.target)

    def load(self) -> PairCorpus:
        read, said = self._sides()
        splits = by_source(read, self.split, self.split_seed)
        return PairCorpus(read, said, splits)

    def _sides(self) -> tuple[list[str], list[str]]:
        paths = self.sides
        if self.path:
            path = Path(self.path).expanduser()
            if path.is_file() or "," not in self.path:
                return read_tsv(path)
            first, _, second = self.path.partition(",")
            paths = (first.strip(), second.strip())
        if not all(paths):
            raise ZooError(
                "data=pairs needs data.source=<a file of lines> and data.target=<one of as many>, or data.path=<a .tsv>."
            )
        source, target = (Path(str(path)).expanduser() for path in paths)
        sides = read_both(source, target)
        check_filled(sides, f"{source} and {target}")
        return sides


def read_tsv(path: Path) -> tuple[list[str], list[str]]:
    """The first two columns of a file. Raises: ZooError for lines without a tab, or with an empty side, by their numbers."""
    rows = [line.split("\t") for line in read_lines(path)]
    if alone := [i for i, row in enumerate(rows, 1) if len(row) < 2]:
        raise ZooError(f"{path}: {listed(alone)} no tab between what is read and what is said; mend or remove them.")
    sides = [row[0] for row in rows], [row[1] for row in rows]
    check_filled(sides, str(path))
    return sides


def by_source(sources: Sequence[str], split: Sequence[float], seed: int) -> Splits:
    """Shares of the different sources; each pair is in the part of its source, so no source is in two."""
    numbers: dict[str, int] = {}
    of = torch.tensor([numbers.setdefault(text, len(numbers)) for text in sources], dtype=torch.long)
    parts = at_random(len(numbers), split, seed, "different sources")
    return {stage: torch.isin(of, part).nonzero()[:, 0] for stage, part in parts.items()}
