"""Small scenes of handwritten digits, and one English sentence for each, by a rule. Made in code."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.captions.module import CaptionCorpus, CaptionData
from datamodules.images import Digits
from datamodules.sampling import generator
from datamodules.splits import STAGES
from zoo.declared import declared
from zoo.errors import ZooError

SIDE, CELL, MOST = 3, 8, 3  # cells of a side, pixels of a cell's, digits of a scene
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACES = (
    "at the top left", "at the top", "at the top right", "on the left", "in the middle", "on the right",
    "at the bottom left", "at the bottom", "at the bottom right",
)  # fmt: skip


def sentence(cells: Sequence[int], digits: Sequence[int]) -> str:
    """The one sentence of a scene: its digits in reading order, each by where it lies to the next.

        a three in the middle
        a three above a seven
        an eight left of a two which is above and right of a zero

    Args:
        cells: 1 to 3 of 0 to 8, row by row, each once.
        digits: what lies there.
    """
    order = sorted(range(len(cells)), key=lambda i: cells[i])
    named = [("an " if digits[i] == 8 else "a ") + NUMBERS[digits[i]] for i in order]
    if len(order) == 1:
        return f"{named[0]} {PLACES[cells[0]]}"
    said = named[0]
    for i in range(1, len(order)):
        which = " which is" if i > 1 else ""
        said += f"{which} {_relation(cells[order[i - 1]], cells[order[i]])} {named[i]}"
    return said


def _relation(first: int, second: int) -> str:
    """Where a cell lies to one that comes behind it in reading order."""
    (row, column), (below, beside) = divmod(first, SIDE), divmod(second, SIDE)
    sideways = "left of" if column < beside else "right of" if column > beside else ""
    above = "above" if row < below else ""
    return " and ".join(each for each in (above, sideways) if each)


def compose(pictures: Tensor, cells: Tensor, count: Tensor) -> Tensor:
    """Scenes [n, 1, 24, 24] of pictures [n, 3, 8, 8], the first count [n] of each at its cells [n, 3]."""
    scenes = torch.zeros(len(cells), SIDE, CELL, SIDE, CELL, dtype=pictures.dtype)
    for i in range(cells.shape[1]):
        rows = (count > i).nonzero()[:, 0]
        at = cells[rows, i]
        scenes[rows, at // SIDE, :, at % SIDE] = pictures[rows, i]
    return scenes.reshape(len(cells), 1, SIDE * CELL, SIDE * CELL)


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class DigitScenes(CaptionData):
    """1 to 3 of scikit-learn's digits on a 3 x 3 grid of 24 x 24 pixels, and a sentence of each scene, see `sentence`.

    As many scenes have 1, 2 and 3 digits, and each arrangement is as likely. The pictures of digits are divided as data=digits
    divides them with the same split_seed: a scene of the test shows no picture that a scene of training does, nor does a model
    that was trained on data=digits know it.

    Args:
        sizes: scenes of training, validation and test.
        split_seed: what parts and scenes are drawn from.

    Raises: ZooError for numbers that are none, and mirrored images, of which the sentences would be wrong.
    """

    sizes: tuple[int, int, int] = (24_000, 1_000, 2_000)

    reference = (
        "made in code (datamodules.captions.DigitScenes) of Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten "
        "Digits, within scikit-learn"
    )
    licence = "CC BY 4.0"
    called = "digit_scenes"

    def __post_init__(self):
        super().__post_init__()
        given: object = self.sizes
        counts = list(given) if isinstance(given, list | tuple) else []
        if len(counts) != 3 or any(type(n) is not int or n < 0 for n in counts) or not counts[0]:
            raise ZooError(f"data.sizes={counts or given} is not three numbers of scenes; give [24000, 1000, 2000].")
        if getattr(self.augment, "flip", False):
            raise ZooError(
                "data.augment.flip=true makes left right, and the sentences say which is which; leave it out."
            )

    def load(self) -> CaptionCorpus:
        digits = Digits(split_seed=self.split_seed)
        digits.setup()
        scenes, targets, sources = [], [], []
        for part, (stage, n) in enumerate(zip(STAGES, self.sizes, strict=True)):
            draw = generator(self.split_seed, part)
            count = (torch.arange(n) % MOST + 1)[torch.randperm(n, generator=draw)]
            cells = torch.rand(n, SIDE**2, generator=draw).argsort(1)[:, :MOST]
            rows = digits.rows(stage)
            chosen = rows[torch.randint(len(rows), (n, MOST), generator=draw)]
            scenes.append(compose(digits.loaded().images[chosen][:, :, 0], cells, count))
            labels = digits.loaded().labels[chosen]
            for i, (k, at, said) in enumerate(zip(count.tolist(), cells.tolist(), labels.tolist(), strict=True)):
                targets.append(sentence(at[:k], said[:k]))
                sources.append(f"{stage} scene {i}")
        parts = torch.arange(len(targets)).split(list(self.sizes))
        splits = dict(zip(STAGES, parts, strict=True))
        return CaptionCorpus(sources, targets, splits, images=torch.cat(scenes), image=torch.arange(len(targets)))
