"""What all sets of pairs share: one tokenizer for both sides, rows of tokens. A set says only how its pairs are loaded."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules import tokenizers
from datamodules.base import DataModule
from datamodules.pairs.batches import PairBatch
from datamodules.sampling import BatchIndex
from datamodules.splits import STAGES, Splits
from zoo.errors import ZooError
from zoo.spec import PairSpec
from zoo.text import Tokenizer


@dataclass(frozen=True, eq=False)
class PairCorpus:
    """Texts and what is to be said for each, and which pairs are for training, validation and test."""

    sources: Sequence[str]
    targets: Sequence[str]
    splits: Splits

    def texts(self, stage: str) -> Iterator[str]:
        """Both sides of a part."""
        for row in self.splits[stage].tolist():
            yield self.sources[row]
            yield self.targets[row]

    def digest(self, stage: str) -> str:
        """A hash of a part's texts."""
        found = hashlib.sha256()
        for text in self.texts(stage):
            found.update(text.encode() + b"\0")
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Padded:
    """Sequences one under another: ids [n, longest], lengths [n]."""

    ids: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], pad: int) -> "Padded":
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.full((len(rows), int(lengths.max()) if len(rows) else 0), pad)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        return cls(ids, lengths)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(ids as wide as the longest of them, lengths)."""
        lengths = self.lengths[rows]
        return self.ids[rows, : int(lengths.max()) if len(rows) else 0], lengths


@dataclass(eq=False)
class Prepared:
    """Tokens of a corpus, by part."""

    corpus: PairCorpus
    tokenizer: Tokenizer
    tokens: dict[str, tuple[Padded, Padded]]
    splits: Splits


class Pairs(Dataset):
    """The pairs of a part; `__getitems__` takes a `BatchIndex`."""

    def __init__(self, source: Padded, target: Padded, seed: int | None):
        self.source, self.target, self.seed = source, target, seed

    def __len__(self) -> int:
        return len(self.source.lengths)

    def __getitems__(self, index: BatchIndex) -> PairBatch:
        rows = torch.tensor(index.rows)
        seed, epoch = (0, 0) if self.seed is None else (self.seed, index.epoch)
        return PairBatch(*self.source.take(rows), *self.target.take(rows), rows, seed, epoch)


@dataclass(kw_only=True, eq=False, repr=False)
class PairData(DataModule):
    """Batches of pairs (`PairBatch`); `load` gives a `PairCorpus`.

    Args:
        tokenizer: of both sides, as of `datamodules.text.TextData`; what is trained is trained on both sides of the training
            part alone. It must have tokens that begin and end a text.
        batch_size: pairs of a step. num_workers, seed, split_seed, folder, cache: see `DataModule`.

    Raises: ZooError for empty texts, and a tokenizer without such tokens.
    """

    tokenizer: Any = field(default_factory=lambda: {"kind": "char"})

    source: Prepared | None = field(default=None, init=False)
    modality = "pairs"
    samples = "pairs"
    #: Whether targets are words of a language, so that BLEU says something of them.
    in_words: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        self.tokenizer = tokenizers.check(self.tokenizer)

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Make the tokens with this one, a pretrained model's, before `setup`."""
        if self.source is not None and self.source.tokenizer != tokenizer:
            raise ZooError("the data was made into tokens already; hand the tokenizer over before setup().")
        self.tokenizer = tokenizer

    def finish(self, source: PairCorpus) -> Prepared:
        """Tokens of each part."""
        corpus = source
        empty = [i + 1 for i, (a, b) in enumerate(zip(corpus.sources, corpus.targets, strict=True)) if not (a and b)]
        if empty:
            shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise ZooError(f"{self.title} has {len(empty)} empty texts, in line {shown}; remove these pairs.")
        tokenizer = tokenizers.make(
            self.tokenizer, lambda: corpus.texts("train"), lambda: corpus.digest("train"), self.search_paths
        )
        bos, eos = tokenizer.bos, tokenizer.eos
        if bos is None or eos is None:
            raise ZooError(
                f"tokenizer={tokenizer.kind} has no tokens that begin and end a text; set tokenizer.special=true."
            )
        pad, made = eos if tokenizer.pad is None else tokenizer.pad, {}
        for stage in STAGES:
            rows = corpus.splits[stage].tolist()
            read = Padded.of([tokenizer.encode(corpus.sources[row]) for row in rows], pad)
            said = Padded.of([[bos, *tokenizer.encode(corpus.targets[row]), eos] for row in rows], pad)
            made[stage] = (read, said)
        return Prepared(corpus, tokenizer, made, {stage: torch.arange(len(made[stage][0].lengths)) for stage in STAGES})

    @property
    def spec(self) -> PairSpec:
        tokenizer = self.loaded().tokenizer
        return PairSpec(source_vocab=tokenizer.vocab_size, target_vocab=tokenizer.vocab_size, tokenizer=tokenizer)

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    def sources(self, stage: str) -> list[str]:
        """The source texts of a part, in order of its rows."""
        corpus = self.loaded().corpus
        return [corpus.sources[row] for row in corpus.splits[stage].tolist()]

    def references(self, stage: str) -> list[list[str]]:
        """What may be said for each of them."""
        corpus = self.loaded().corpus
        return [[corpus.targets[row]] for row in corpus.splits[stage].tolist()]

    @property
    def tokens_of_a_pair(self) -> float:
        """Of both sides, on average over the training part."""
        source, target = self.loaded().tokens["train"]
        return float((source.lengths + target.lengths).double().mean())

    def identity(self, stage: str) -> list[Tensor | bytes]:
        return [*super().identity(stage), self.loaded().corpus.digest(stage).encode()]

    def dataset(self, stage: str) -> Pairs:
        source, target = self.loaded().tokens[stage]
        return Pairs(source, target, self.seed if stage == "train" else None)

    def test_rows(self, count: int) -> PairBatch:
        """The first pairs of the test part."""
        return self.dataset("test").__getitems__(BatchIndex(0, list(range(min(count, self.test_size)))))

    def describe(self) -> str:
        tokenizer = self.loaded().tokenizer
        return f"{super().describe()} ({tokenizer.kind} of {tokenizer.vocab_size:,} tokens for both sides)"
