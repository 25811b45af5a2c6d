"""What all sets of pairs share: a tokenizer for both sides, or one for each, and rows of tokens."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules import tokenizers
from datamodules.base import DataModule, one_of
from datamodules.pairs.batches import PairBatch
from datamodules.pairs.corpus import SIDES, PairCorpus
from datamodules.pairs.rows import Padded, Pairs, Side
from datamodules.sampling import BatchIndex, Pools
from datamodules.splits import STAGES, Splits
from zoo.errors import ZooError
from zoo.spec import PairSpec
from zoo.text import Tokenizer

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Prepared:
    """Tokens of a corpus, by part.

    Args:
        source_tokenizer: None where it is the target's.
        sides: of each part what is read and what is said.
        rows: of each part the pairs of the corpus that it has, in the order of its rows.
        splits: the numbers of these rows.
    """

    corpus: PairCorpus
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None
    sides: dict[str, tuple[Side, Padded]]
    rows: Splits
    splits: Splits


@dataclass(kw_only=True, eq=False, repr=False)
class PairData(DataModule):
    """Batches of pairs (`PairBatch`); `load` gives a `PairCorpus`.

    Args:
        tokenizer: as of `datamodules.text.TextData`; what is trained is trained on the training part alone. It must have tokens
            that begin and end a text. Of the targets, and of the sources where they have none of their own.
        source_tokenizer: of the sources; None: made as `tokenizer` says.
        joint: whether what is trained is one tokenizer, trained on both sides; None: yes, but of words.
        tokens: "words" for tokenizer=words; None: as `tokenizer` says.
        lower: whether texts are read in lower case; their references stay as they are.
        min_count: of tokens="words": words seen less often are <unk>.
        max_tokens: training pairs with more tokens on a side are left out; None: none are.
        buckets: training batches that are sorted by length together, which saves padding; evaluation is then sorted as a whole.
            0: none, each batch is drawn from all.
        batch_size: pairs of a step. num_workers, seed, split_seed, folder, cache: see `DataModule`.

    Raises: ZooError for empty texts, settings out of range, and a tokenizer without such tokens.
    """

    tokenizer: Any = field(default_factory=lambda: {"kind": "char"})
    source_tokenizer: Any = None
    joint: bool | None = None
    tokens: str | None = None
    lower: bool = False
    min_count: int = 2
    max_tokens: int | None = None
    buckets: int = 0

    source: Prepared | None = field(default=None, init=False)
    modality = "pairs"
    samples = "pairs"
    #: Whether targets are words of a language, so that BLEU says something of them.
    in_words: ClassVar[bool] = True
    #: The size that the set's own yaml gives its tokenizer, whichever is chosen then.
    usual_size: ClassVar[int | None] = None

    def __post_init__(self):
        super().__post_init__()
        one_of(self.tokens, "tokens", ["words", None])
        for name, least in (("max_tokens", 1), ("buckets", 0)):
            value = getattr(self, name)
            if (value is not None or least == 0) and (type(value) is not int or value < least):
                raise ZooError(f"data.{name}={value} is not such a number; give {least} or more.")
        if self.tokens == "words" and isinstance(self.tokenizer, Mapping):
            self.tokenizer = {"kind": "words", "min_count": self.min_count}
        self.tokenizer = self._checked(tokenizers.without_size(self.tokenizer, self.usual_size))
        if self.source_tokenizer is not None:
            self.source_tokenizer = self._checked(self.source_tokenizer)

    def _checked(self, config: Any) -> Any:
        config = tokenizers.check(config)
        return tokenizers.lowered(config) if self.lower else config

    def use_tokenizer(self, tokenizer: Tokenizer, source_tokenizer: Tokenizer | None = None) -> None:
        """Make the tokens with these, a pretrained model's, before `setup`. Raises: ZooError where others were asked for."""
        found = self.source
        if found is not None and (found.tokenizer != tokenizer or found.source_tokenizer != source_tokenizer):
            raise ZooError("the data was made into tokens already; hand the tokenizer over before setup().")
        if self.tokens == "words" and tokenizer.kind != "words":
            raise ZooError(
                f"data.tokens=words, and the weights were trained on tokens of another kind ({tokenizer.kind}); leave it "
                "out, or train anew (init=null)."
            )
        tokenizers.check_same(self.tokenizer, tokenizer, "tokenizer")
        tokenizers.check_same(self.source_tokenizer, source_tokenizer or tokenizer, "source_tokenizer")
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer

    # -- from texts to rows ------------------------------------------------------------------------------------------

    def finish(self, source: PairCorpus) -> Prepared:
        """Tokens of each part."""
        corpus = source
        if empty := corpus.empty():
            shown = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            raise ZooError(f"{self.title} has {len(empty)} empty texts, in line {shown}; remove these pairs.")
        tokenizer, own = self.make_tokenizers(corpus)
        if tokenizer.bos is None or tokenizer.eos is None:
            raise ZooError(
                f"tokenizer={tokenizer.kind} has no tokens that begin and end a text; set tokenizer.special=true."
            )
        sides, rows = {}, {}
        for stage in STAGES:
            part = corpus.splits[stage]
            read, said = self.read(corpus, part, own or tokenizer), self.said(corpus, part, tokenizer)
            if stage == "train" and self.max_tokens is not None:
                kept = (read.sizes <= self.max_tokens) & (said.lengths - 2 <= self.max_tokens)
                if not kept.any():
                    raise ZooError(f"data.max_tokens={self.max_tokens} leaves out all training pairs; give more.")
                out = f"{int((~kept).sum())} of {len(kept)} training pairs"
                log.info(f"{out} have more than {self.max_tokens} tokens on a side, and are left out")
                part = part[kept]
                read, said = self.read(corpus, part, own or tokenizer), self.said(corpus, part, tokenizer)
            sides[stage], rows[stage] = (read, said), part
        return Prepared(
            corpus, tokenizer, own, sides, rows, {stage: torch.arange(len(part)) for stage, part in rows.items()}
        )

    def make_tokenizers(self, corpus: PairCorpus) -> tuple[Tokenizer, Tokenizer | None]:
        """(the targets', the sources' where it is another)."""

        def made(config: Any, *sides: str) -> Tokenizer:
            texts, digest = lambda: corpus.texts("train", sides), lambda: corpus.digest("train", sides)
            return tokenizers.make(config, texts, digest, self.search_paths)

        config, own = self.tokenizer, self.source_tokenizer
        joint = self.joint if self.joint is not None else tokenizers.kind(config) != "words"
        if own is None and (joint or not tokenizers.trains(config)):
            return made(config, *SIDES), None
        return made(config, "target"), made(config if own is None else own, "source")

    def read(self, corpus: PairCorpus, rows: Tensor, tokenizer: Tokenizer) -> Side:
        """What is read of these pairs; sources that are no text are made into something else here."""
        found = tokenizer.encode_many([corpus.sources[row] for row in rows.tolist()])
        if silent := [row + 1 for row, ids in zip(rows.tolist(), found, strict=True) if not ids]:
            raise ZooError(f"{self.title}: tokenizer={tokenizer.kind} makes no token of the text in line {silent[0]}.")
        before, behind = tokenizer.around
        return Padded.of([[*before, *ids, *behind] for ids in found], _filler(tokenizer))

    def said(self, corpus: PairCorpus, rows: Tensor, tokenizer: Tokenizer) -> Padded:
        """What is said for these pairs, from the begin token to the end token."""
        ends: Any = (tokenizer.bos, tokenizer.eos)  # `finish` refuses a tokenizer without them
        found = tokenizer.encode_many([corpus.targets[row] for row in rows.tolist()])
        return Padded.of([[ends[0], *ids, ends[1]] for ids in found], _filler(tokenizer))

    # -- what they are -----------------------------------------------------------------------------------------------

    @property
    def spec(self) -> PairSpec:
        found = self.loaded()
        said, read = found.tokenizer, found.source_tokenizer or found.tokenizer
        return PairSpec(
            source_vocab=read.vocab_size,
            target_vocab=said.vocab_size,
            tokenizer=said,
            source_tokenizer=found.source_tokenizer,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    def sources(self, stage: str) -> list[Any]:
        """The sources of a part as they are, in the order of its rows, which `PairBatch.sample` numbers."""
        found = self.loaded()
        return [found.corpus.sources[row] for row in found.rows[stage].tolist()]

    def references(self, stage: str) -> list[list[str]]:
        """All that would be right for each of `sources`: raw text, whatever tokens were made of it."""
        found = self.loaded()
        corpus, rows = found.corpus, found.rows[stage].tolist()
        if corpus.references is not None:
            return [list(corpus.references[row]) for row in rows]
        return [[corpus.targets[row]] for row in rows]

    @property
    def tokens_per_step(self) -> int:
        read, said = self.loaded().sides["train"]
        return int(self.batch_size * (read.sizes + said.sizes).double().mean())

    def training_tokens(self, side: str) -> Iterator[Tensor]:
        """Tokens of the training part's "source" or "target", a text at a time."""
        source, target = self.loaded().sides["train"]
        found: Any = source if side == "source" else target
        return (row[:length] for row, length in zip(found.ids, found.lengths.tolist(), strict=True))

    def identity(self, stage: str) -> Sequence[Tensor | bytes]:
        return [*super().identity(stage), self.loaded().corpus.digest(stage).encode()]

    # -- batches -----------------------------------------------------------------------------------------------------

    def pools(self, stage: str) -> Pools | None:
        if not self.buckets:
            return None
        read, said = self.loaded().sides[stage]
        longer = torch.maximum(read.sizes, said.sizes)  # of rows as long as each other the shorter side is sorted too
        return Pools(longer * (1 + int(longer.max())) + torch.minimum(read.sizes, said.sizes), self.buckets)

    def dataset(self, stage: str) -> Pairs:
        read, said = self.loaded().sides[stage]
        return Pairs(read, said, self.seed if stage == "train" else None)

    def test_rows(self, count: int) -> PairBatch:
        """The first pairs of the test part."""
        return self.dataset("test").__getitems__(BatchIndex(0, list(range(min(count, self.test_size)))))

    def describe(self) -> str:
        found = self.loaded()
        said, read = found.tokenizer, found.source_tokenizer
        if read is None:
            return f"{super().describe()} ({said.kind} of {said.vocab_size:,} tokens for both sides)"
        sides = f"{read.kind} of {read.vocab_size:,} tokens read, {said.kind} of {said.vocab_size:,} said"
        return f"{super().describe()} ({sides})"


def _filler(tokenizer: Tokenizer) -> int:
    """What stands behind the end of a row; no model reads it."""
    return next(id for id in (tokenizer.pad, tokenizer.eos, 0) if id is not None)
