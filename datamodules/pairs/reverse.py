"""Strings and the same backwards: what one vector cannot hold and attention can look up."""

from dataclasses import dataclass

import torch

from datamodules.pairs.corpus import PairCorpus
from datamodules.pairs.module import PairData
from datamodules.sampling import generator
from datamodules.splits import STAGES
from zoo.declared import declared
from zoo.errors import ZooError

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Reverse(PairData):
    """Random strings, each with its reversal as the target; no string is in two parts. Made in code.

    Args:
        letters: how many different ones, at most 26.
        shortest, longest: letters of a string; each length is as likely.
        sizes: strings of training, validation and test.
        split_seed: what they are drawn from.

    Raises: ZooError for numbers that make no such strings.
    """

    letters: int = 20
    shortest: int = 4
    longest: int = 20
    sizes: tuple[int, int, int] = (24_000, 1_000, 2_000)

    in_words = False
    reference = "made in code (datamodules.pairs.Reverse)"
    licence = "MIT"

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.letters <= len(LETTERS):
            raise ZooError(f"data.letters={self.letters} is not a number of letters; give 1 to {len(LETTERS)}.")
        if not 1 <= self.shortest <= self.longest:
            raise ZooError(
                f"data.shortest={self.shortest} and data.longest={self.longest} leave no length between them."
            )
        given: object = self.sizes
        counts = list(given) if isinstance(given, list | tuple) else []
        if len(counts) != 3 or any(type(n) is not int or n < 0 for n in counts) or not counts[0]:
            shown = counts or given
            raise ZooError(f"data.sizes={shown} is not three numbers of strings; give [24000, 1000, 2000].")

    def load(self) -> PairCorpus:
        draw, wanted = generator(self.split_seed), sum(self.sizes)
        found: dict[str, None] = {}  # in order, each once
        for _ in range(100):
            lengths = torch.randint(self.shortest, self.longest + 1, (wanted,), generator=draw).tolist()
            letters = torch.randint(self.letters, (wanted, self.longest), generator=draw).tolist()
            for n, row in zip(lengths, letters, strict=True):
                found["".join(LETTERS[i] for i in row[:n])] = None
            if len(found) >= wanted:
                break
        else:
            raise ZooError(
                f"Of {self.letters} letters there are hardly {wanted:,} strings {self.shortest} to {self.longest} long; "
                "ask for less (data.sizes), or for longer ones."
            )
        strings = list(found)[:wanted]
        parts = torch.arange(wanted).split(list(self.sizes))
        return PairCorpus(strings, [text[::-1] for text in strings], dict(zip(STAGES, parts, strict=True)))
