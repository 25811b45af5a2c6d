"""What all sets of texts share: a tokenizer, tokens, rows of them. A set says only how its texts are loaded."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules import tokenizers
from datamodules.base import DataModule, one_of
from datamodules.sampling import BatchIndex, generator
from datamodules.splits import NAMES, STAGES
from datamodules.text.batches import TextBatch
from datamodules.text.corpus import Corpus
from datamodules.text.rows import Packed, Rows, Single, Stream, TextRows
from datamodules.text.tokens import Tokens, tokens
from zoo.errors import ZooError
from zoo.spec import TextSpec
from zoo.text import Tokenizer

log = logging.getLogger(__name__)


@dataclass
class Prepared:
    """Tokens of a corpus, by part, and the rows that batches are made of."""

    corpus: Corpus
    tokenizer: Tokenizer
    tokens: dict[str, Tokens]
    rows: dict[str, Rows]
    splits: dict[str, Tensor]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.corpus.classes


@dataclass(kw_only=True, eq=False, repr=False)
class TextData(DataModule):
    """Batches of tokens (`TextBatch`; `LabelledText` where texts have labels and are not packed); `load` gives a `Corpus`.

    Args:
        tokenizer: {"kind": "byte" | "char" | "bpe" | "unigram" | "wordpiece" | "gpt2" | "file", ...} as in conf/tokenizer, or a
            `zoo.text.Tokenizer`, or a function of texts that gives one. What is trained is trained on the training part alone.
        context: tokens of a row, at most.
        pack: "stream": all texts as one, cut into rows; "documents": several whole texts in a row that do not see each other;
            None: a text a row, cut where it is longer.
        batch_size: rows of a step. num_workers, seed, split_seed, folder, cache: see `DataModule`.

    Raises: ZooError for a part without text, or with less than a row.
    """

    tokenizer: Any = field(default_factory=lambda: {"kind": "byte"})
    context: int = 256
    pack: str | None = "stream"

    source: Prepared | None = field(default=None, init=False)
    modality = "text"
    samples = "rows"

    def __post_init__(self):
        super().__post_init__()
        one_of(self.pack, "pack", ["stream", "documents", None])
        if isinstance(self.context, bool) or not isinstance(self.context, int) or self.context < 2:
            raise ZooError(f"data.context={self.context} is not a number of tokens in a row; give 2 or more.")
        self.tokenizer = tokenizers.check(self.tokenizer)

    def use_tokenizer(self, tokenizer: Tokenizer, source_tokenizer: Tokenizer | None = None) -> None:
        """Make the tokens with this one, a pretrained model's, before `setup`."""
        if self.source is not None and self.source.tokenizer != tokenizer:
            raise ZooError("the data was made into tokens already; hand the tokenizer over before setup().")
        tokenizers.check_same(self.tokenizer, tokenizer, "tokenizer")
        self.tokenizer = tokenizer

    def use_preprocess(self, preprocess: Any) -> None:
        """Of text the preprocessing is the tokenizer."""
        found = preprocess.get("tokenizer") if isinstance(preprocess, Mapping) else preprocess
        if isinstance(found, Tokenizer):
            self.use_tokenizer(found)

    # -- from texts to rows ------------------------------------------------------------------------------------------

    def finish(self, source: Corpus) -> Prepared:
        """Tokens of each part, and rows of them."""
        corpus, folders = source, self.search_paths
        if not isinstance(self.tokenizer, Tokenizer):
            self._check_text(corpus)
        tokenizer = tokenizers.make(
            self.tokenizer, lambda: corpus.texts("train"), lambda: corpus.digest("train"), folders
        )
        # Conversations keep the end of each answer, which a model has to say, apart from what begins the next.
        joined = self.pack == "stream" and not corpus.turns
        made, rows = {}, {}
        for stage in STAGES:
            documents, part = corpus.part(stage), f"the {NAMES[stage]} part"
            made[stage] = tokens(documents, corpus.digest(stage), tokenizer, corpus.ends, joined, folders[-1], part)
            rows[stage] = self._rows(made[stage], stage)
            self._check_part(corpus, made[stage], rows[stage], stage)
        splits = {stage: torch.arange(len(each)) for stage, each in rows.items()}
        return Prepared(corpus, tokenizer, made, rows, self.chosen(corpus, splits))

    def chosen(self, corpus: Corpus, splits: dict[str, Tensor]) -> dict[str, Tensor]:
        """Which rows are used; all."""
        return splits

    def _rows(self, made: Tokens, stage: str) -> Rows:
        if self.pack == "stream":
            return Stream(made, self.context, moving=stage == "train")
        if self.pack == "documents":
            return Packed(made, self.context)
        found = Single(made, self.context)
        if found.cut:
            log.info(
                f"{found.cut:,} of the {len(found):,} {NAMES[stage]} texts are cut to data.context={self.context} tokens"
            )
        return found

    def _check_text(self, corpus: Corpus) -> None:
        if not any(text for text in corpus.texts("train")):
            raise ZooError(f"{corpus.name} has no text for training; give it some.")

    def _check_part(self, corpus: Corpus, made: Tokens, rows: Rows, stage: str) -> None:
        if not len(corpus.splits[stage]):
            return
        whole = self.pack == "stream" and stage == "train"
        needs = self.context + 1 if whole else 2
        has = len(made) if self.pack == "stream" else int((made.starts[1:] - made.starts[:-1]).max(initial=0))
        if has < needs or not len(rows):
            what = (
                f"a row of data.context={self.context} and the token after it"
                if whole
                else "a token and the one after it"
            )
            raise ZooError(
                f"the {NAMES[stage]} part of {corpus.name} needs {needs} tokens ({what}) and has {has}; give it more text"
                f"{', or a smaller data.context' if whole else ', or another split'}."
            )

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> TextSpec:
        found = self.loaded()
        labelled = self.pack is None and found.corpus.targets != "tokens"
        about = {"classes": found.classes, "targets": found.corpus.targets} if labelled else {}
        return TextSpec(vocab_size=found.tokenizer.vocab_size, context=self.context, tokenizer=found.tokenizer, **about)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.context

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    def texts(self, stage: str) -> Iterator[str]:
        """The raw text of "train", "val" or "test", a piece at a time: for compressors, n-grams and reports."""
        return self.corpus().texts(stage)

    def corpus(self) -> Corpus:
        """The texts, loaded if they are not yet."""
        return self.source.corpus if self.source is not None else self.load()

    def training_tokens(self, side: str = "") -> Iterator[np.ndarray]:
        """Tokens of the training part, a text at a time; a text has one side."""
        found = self.loaded().tokens["train"]
        return (found.ids[first:end] for first, end in pairwise(found.starts.tolist()))

    def identity(self, stage: str) -> list[Tensor | bytes]:
        found = self.loaded().corpus
        labels = found.labels if self.pack is None else None
        asked = [] if labels is None else [labels[found.splits[stage]].long()]
        return [*super().identity(stage), found.digest(stage).encode(), *asked]

    def dataset(self, stage: str) -> TextRows:
        found, train = self.loaded(), stage == "train"
        labels = None
        if self.pack is None and found.corpus.labels is not None:
            labels = found.corpus.labels[found.corpus.splits[stage]]
        return TextRows(
            found.tokens[stage],
            found.rows[stage],
            found.splits[stage],
            self.context,
            pad=next((id for id in (found.tokenizer.pad, found.tokenizer.eos) if id is not None), 0),
            seed=self.seed if train else None,
            labels=labels,
            still=getattr(self.trainer, "overfit_batches", 0) > 0,
        )

    def test_rows(self, count: int) -> TextBatch:
        """Some rows of the test part, always the same."""
        data = self.dataset("test")
        rows = torch.randperm(len(data), generator=generator(self.split_seed))[:count]
        return data.__getitems__(BatchIndex(0, rows.tolist()))

    def describe(self) -> str:
        found = self.loaded()
        counts = ", ".join(f"{len(found.tokens[stage]):,} {NAMES[stage]}" for stage in STAGES)
        what = f"{found.tokenizer.kind} of {found.tokenizer.vocab_size:,} tokens"
        return f"{super().describe()} of at most {self.context} tokens ({counts} tokens; {what})"
