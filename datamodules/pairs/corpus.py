"""What a set of pairs is before any choice about tokens and batches."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datamodules.splits import Splits

SIDES = ("source", "target")


@dataclass(frozen=True, eq=False)
class PairCorpus:
    """Texts and what is to be said for each, and which pairs are for training, validation and test.

    Args:
        sources, targets: as many; a target is what is trained on.
        splits: which pairs are for training, validation and test.
        references: of each source all that would be right, where there are several; they are what BLEU counts. None: the
            target alone.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    splits: Splits
    references: Sequence[Sequence[str]] | None = None

    def texts(self, stage: str, sides: Sequence[str] = SIDES) -> Iterator[str]:
        """Both sides of a part, a pair at a time, or one of them."""
        each = {"source": self.sources, "target": self.targets}
        for row in self.splits[stage].tolist():
            for side in sides:
                yield each[side][row]

    def digest(self, stage: str, sides: Sequence[str] = SIDES) -> str:
        """A hash of a part's texts."""
        found = hashlib.sha256()
        for text in self.texts(stage, sides):
            found.update(text.encode() + b"\0")
        if self.references is not None and "target" in sides:
            for row in self.splits[stage].tolist():
                found.update("\0".join(self.references[row]).encode() + b"\1")
        return found.hexdigest()

    def empty(self) -> list[int]:
        """The numbers of pairs of which a side is no text, from 1 on."""
        pairs = zip(self.sources, self.targets, strict=True)
        return [i for i, pair in enumerate(pairs, 1) if not all(side.strip() for side in pair)]
