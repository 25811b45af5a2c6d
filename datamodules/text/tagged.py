"""Sentences whose words have tags: a sentence a row (`TaggedText`), or text like any other where they are packed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.sampling import Pools
from datamodules.splits import NAMES, STAGES, Splits
from datamodules.text.batches import NOTHING, TaggedText, TextBatch
from datamodules.text.corpus import Corpus, Tagged
from datamodules.text.module import Prepared, TextData
from datamodules.text.rows import TextRows
from zoo.errors import ZooError, nearest
from zoo.text import Tokenizer
from zoo.text.entities import OUTSIDE, as_iob2
from zoo.text.words import encode_words

log = logging.getLogger(__name__)
#: (words, tags) of a sentence.
Sentence = tuple[Sequence[str], Sequence[str]]


@dataclass
class TaggedRows(TextRows):
    """Batches of sentences with their words' tags.

    Args:
        tags: of each sentence, those of its words.
        places: of each sentence, where each word's first token stands in it; -1 where it has none.
    """

    tags: list[Tensor] = field(default_factory=list)
    places: list[Tensor] = field(default_factory=list)

    def made(self, batch: dict[str, Any], numbers: Tensor, lengths: list[int]) -> TextBatch:
        rows = numbers.tolist()
        words = max((len(self.tags[row]) for row in rows), default=0)
        gold, places = torch.full((len(rows), words), NOTHING), torch.full((len(rows), words), -1)
        tags = torch.full_like(batch["ids"], NOTHING)
        for i, row in enumerate(rows):
            there = _within(self.places[row], int(self.tokens.starts[row + 1] - self.tokens.starts[row]), lengths[i])
            n = len(there)
            gold[i, :n], places[i, :n] = self.tags[row], there
            tags[i, there[there >= 0]] = self.tags[row][there >= 0]
        return TaggedText(**batch, tags=tags, gold=gold, places=places)


@dataclass(kw_only=True, eq=False, repr=False)
class TaggedData(TextData):
    """Sentences of words with a tag each, a sentence a row; packed, they are text like any other.

    A word's tag stands at its first token. Of a sentence longer than `context` the words beyond have none: they count, as not
    recognised (O), in every score, and how many there are is told.

    Args:
        buckets: training batches that are sorted by length together, which saves padding; evaluation is then sorted as a
            whole. 0: each batch is drawn from all.
    """

    pack: str | None = None
    buckets: int = 0
    firsts: dict[str, list[Tensor]] = field(default_factory=dict, init=False)

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.buckets, bool) or not isinstance(self.buckets, int) or self.buckets < 0:
            raise ZooError(f"data.buckets={self.buckets} is not a number of batches; give 0 or more.")
        self.samples = "sentences" if self.pack is None else "rows"

    def finish(self, source: Corpus) -> Prepared:
        made = super().finish(source)
        if self.pack is None:
            known: dict[str, tuple[int, int]] = {}
            for stage in STAGES:
                sentences = [document for document in source.part(stage) if isinstance(document, Tagged)]
                self.firsts[stage] = [_places(made.tokenizer, each.words, known) for each in sentences]
                sizes = np.diff(made.tokens[stage].starts).tolist()
                pairs = zip(self.firsts[stage], sizes, strict=True)
                there = [_within(places, size, min(size, self.context)) for places, size in pairs]
                if lost := sum(int((places < 0).sum()) for places in there):
                    log.info(
                        f"{lost:,} of the {sum(map(len, there)):,} {NAMES[stage]} words have no token within "
                        f"data.context={self.context}; they count as {OUTSIDE}"
                    )
        return made

    def identity(self, stage: str) -> list[Tensor | bytes]:
        found = super().identity(stage)
        tags = [torch.tensor(each.tags) for each in self.loaded().corpus.part(stage)] if self.pack is None else []
        return [*found, *([torch.cat(tags)] if tags else [])]

    def pools(self, stage: str) -> Pools | None:
        if not self.buckets or self.pack is not None:
            return None
        sizes = np.diff(self.loaded().tokens[stage].starts)
        return Pools(torch.from_numpy(sizes).clamp(max=self.context), self.buckets)

    def dataset(self, stage: str) -> TextRows:
        plain = super().dataset(stage)
        if self.pack is not None:
            return plain
        tags = [torch.tensor(each.tags) for each in self.loaded().corpus.part(stage)]
        return TaggedRows(**vars(plain), tags=tags, places=self.firsts[stage])

    def describe(self) -> str:
        if self.pack is not None:
            return super().describe()
        kinds = sorted({name[2:] for name in self.classes if name != OUTSIDE})
        return f"{super().describe()}; kinds of entities: {', '.join(kinds)}"


def _places(tokenizer: Tokenizer, words: Sequence[str], known: dict[str, tuple[int, int]]) -> Tensor:
    """Where each word's first token stands in a sentence with its beginning; what was found of a word is kept."""
    at, found = 0 if tokenizer.bos is None else 1, list[int]()
    for i, word in enumerate(words):
        key = f" {word}" if i else word
        if key not in known:
            ids, first = encode_words(tokenizer, ["", word] if i else [word])
            known[key] = len(ids), first[-1]
        size, first_token = known[key]
        found.append(at + first_token if first_token >= 0 else -1)
        at += size
    return torch.tensor(found, dtype=torch.int64)


def _within(places: Tensor, size: int, length: int) -> Tensor:
    """Places in a sentence of `size` tokens of which `length` are there; -1 beyond. One that was cut has the token that ends
    it in the place of the last."""
    return places.where(places < length - (length < size), -1)


def tagged(parts: Mapping[str, Sequence[Sentence]], name: str) -> Corpus:
    """A corpus of the sentences of each part. Tags are read as IOB2; the classes are O, then B- and I- of each kind that the
    training part has.

    Raises: ZooError for no sentence to train on, no entity there, or another part with entities of kinds that it has not.
    """
    read = {stage: [(words, as_iob2(tags)) for words, tags in parts[stage]] for stage in STAGES}
    kinds = {stage: {tag[2:] for _, tags in read[stage] for tag in tags} - {""} for stage in STAGES}
    if not kinds["train"]:
        what = "no entity" if read["train"] else "no sentence"
        raise ZooError(f"the training part of {name} has {what}; give it some.")
    for stage in STAGES[1:]:
        if unseen := sorted(kinds[stage] - kinds["train"]):
            raise ZooError(
                f"the {NAMES[stage]} part of {name} has entities of the kind {unseen[0]!r}, and the training part has none: "
                f"{nearest(unseen[0], sorted(kinds['train']))}"
            )
    classes = (OUTSIDE, *(f"{begins}-{kind}" for kind in sorted(kinds["train"]) for begins in "BI"))
    numbers = {tag: i for i, tag in enumerate(classes)}
    documents, splits = list[Tagged](), Splits()
    for stage in STAGES:
        first = len(documents)
        documents += [Tagged(tuple(words), tuple(numbers[tag] for tag in tags)) for words, tags in read[stage]]
        splits[stage] = torch.arange(first, len(documents))
    return Corpus(documents, splits, classes=classes, targets="tags", name=name)
