"""Sentences around words of two senses, made in code: `data=senses`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from datamodules.sampling import generator
from datamodules.splits import STAGES
from datamodules.text.corpus import Corpus, Text
from datamodules.text.frames import SENSES, WHEN, WHO, Sense
from datamodules.text.module import TextData
from zoo.declared import declared
from zoo.errors import ZooError

FRAMES = min(len(sense.frames) for sense in SENSES)


@dataclass(frozen=True)
class Sentence:
    """A sentence, and what its noun means there.

    noun: manga, or a word of one sense as maçã. at: of its first letter in the text. sense: number in SENSES. frame: its number
    there.
    """

    text: str
    noun: str
    at: int
    sense: int
    frame: int


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Senses(TextData):
    """Generated Portuguese sentences around manga (mango, sleeve), banco (bank, bench) and vela (candle, sail).

        Eu gosto de comer manga.        No domingo, eu vou cortar a manga da camisa.

    Each sentence is a frame of one of the six senses with a noun in it: the word of two senses, or one of six that have this
    sense alone (maçã; gola). Each frame has as many sentences with the word, so both senses of a word are as frequent. Frames,
    not sentences, are what is split: those of validation and test stand in no training sentence. They put together anew words
    that do: "Ana descascou a manga da árvore" where others peel a ripe one, or see one of the tree.

    Args:
        frames: of each sense, for training, validation and test.
        each: sentences of a frame with the word of two senses; there are twice as many with the others.
        split_seed: of which frames are for what, and which sentences are made of each.

    Raises: ZooError for numbers that make no such sentences.
    """

    frames: Sequence[int] = (24, 4, 8)
    each: int = 4
    context: int = 32
    pack: str | None = None

    samples = "sentences"
    reference = "made in code (datamodules.text.Senses)"
    licence = "MIT"

    def __post_init__(self):
        super().__post_init__()
        given: object = self.frames
        counts = list(given) if isinstance(given, list | tuple) else []
        if (
            len(counts) != 3
            or any(type(n) is not int or n < 0 for n in counts)
            or not counts[0]
            or sum(counts) > FRAMES
        ):
            raise ZooError(
                f"data.frames={given} is not three numbers of frames for training, validation and test, {FRAMES} in all at "
                "most; give [24, 4, 8]."
            )
        if type(self.each) is not int or not 1 <= self.each <= len(WHEN):
            raise ZooError(
                f"data.each={self.each} is not a number of sentences of a frame; give 1 to {len(WHEN)}."
            )  # fmt: skip

    @cached_property
    def parts(self) -> dict[str, list[Sentence]]:
        """All sentences, by part; no two are the same."""
        draw = generator(self.split_seed)
        found: dict[str, list[Sentence]] = {stage: [] for stage in STAGES}
        for number, sense in enumerate(SENSES):
            order = self._order(sense, draw)
            for stage, count in zip(STAGES, self.frames, strict=True):
                chosen, order = order[:count], order[count:]
                for frame in chosen:
                    found[stage] += self._sentences(number, frame, (sense.word,), self.each, draw)
                    found[stage] += self._sentences(number, frame, tuple(sense.others), 2 * self.each, draw)
        return found

    def _order(self, sense: Sense, draw: torch.Generator) -> list[int]:
        """Frames as they are handed out. The words of those held out stand in training frames, or nobody could tell."""
        words = [set(re.findall(r"\w{4,}", frame)) - {"quem"} for frame in sense.frames]
        train, end = self.frames[0], sum(self.frames)
        order: list[int] = []
        for _ in range(1000):
            order = torch.randperm(len(words), generator=draw).tolist()
            seen = set().union(*(words[i] for i in order[:train]))
            if all(words[i] <= seen for i in order[train:end]):
                break
        return order

    def sentences(self, stage: str) -> list[Sentence]:
        """Those of "train", "val" or "test" with a word of two senses, as many of each sense."""
        return [each for each in self.parts[stage] if each.noun == SENSES[each.sense].word]

    def load(self) -> Corpus:
        texts = [Text(each.text) for stage in STAGES for each in self.parts[stage]]
        rows = torch.arange(len(texts)).split([len(self.parts[stage]) for stage in STAGES])
        return Corpus(texts, dict(zip(STAGES, rows, strict=True)), name="data=senses")

    @staticmethod
    def _sentences(
        number: int, frame: int, nouns: tuple[str, ...], count: int, draw: torch.Generator
    ) -> list[Sentence]:
        """So many of a frame, drawn from all that there are."""
        text = SENSES[number].frames[frame]
        who = WHO if "{quem}" in text else ("",)
        every = [(noun, one, when) for noun in nouns for one in who for when in WHEN]
        drawn = torch.randperm(len(every), generator=draw)[:count].tolist()
        return [_sentence(text, number, frame, *every[i]) for i in drawn]


def _sentence(text: str, sense: int, frame: int, noun: str, who: str, when: str) -> Sentence:
    body = text.format(x="\0", quem=who)
    whole = f"{when}, {body}" if when else body
    at = whole.index("\0")
    whole = (whole[0].upper() + whole[1:]).replace("\0", noun)
    return Sentence(whole, noun, at, sense, frame)


__all__ = ["SENSES", "Sense", "Senses", "Sentence"]
