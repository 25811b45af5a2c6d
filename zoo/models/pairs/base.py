"""What models of pairs of sequences share: one protocol, whatever computes it.

memory = model.encode(source, lengths)                  what was read, for as many steps as are asked
logits, state = model.decode(target[:, :3], memory)     where the decoder stands behind three tokens
logits, state = model.decode(target[:, 3:], memory, state)
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import examples
from zoo.models.base import Model
from zoo.models.examples import Draw


class Said(Protocol):
    """What an encoder gives its decoder, one a source sentence."""

    def select(self, index: Tensor) -> Said:
        """Sentence i is what sentence index[i] was."""

    def repeat(self, n: int) -> Said:
        """For n rows a sentence, which stand together, as its beams do."""


class State(Protocol):
    """Where a decoder stands in each row's target."""

    def reorder(self, index: Tensor) -> State:
        """Row i goes on from where row index[i] stood."""


class PairModel(Model):
    """Base class. A family defines `encode` and `decode`; `forward` is both.

    Args:
        source_vocab, target_vocab: ids are below them; source_vocab None: a source is no tokens.

    Shapes: source [B, S] long, padded on the right; lengths [B], its tokens, None: all are. target [B, T] long, which starts
        with the begin token: logits [B, T, target_vocab] say what follows each. Padding of a target changes nothing before it.
    Raises: ZooError for vocabularies below 1.
    """

    reads = ("pairs",)
    #: The share of a target's probability that its paper spreads over the vocabulary in training.
    label_smoothing: ClassVar[float] = 0.0
    #: Where its decoder looks at what was read, as `record_attention` calls the places; its alignments are drawn from there.
    looks: ClassVar[tuple[str, ...]] = ("decoder.attn", "decoder.blocks.*.cross")
    num_classes = 0
    targets = "tokens"
    #: What a target begins with, and what ends it; None: the tokenizer's bos and eos. What `generate` never says.
    begin_tokens: tuple[int, ...] | None = None
    end_tokens: tuple[int, ...] | None = None
    suppress_tokens: tuple[int, ...] = ()
    #: Tokens that a target may have, the begin token included; None: any number.
    max_length: int | None = None

    def __init__(self, source_vocab: int | None, target_vocab: int):
        super().__init__()
        if min(target_vocab if source_vocab is None else source_vocab, target_vocab) < 1:
            raise ZooError(f"Vocabularies have 1 token or more; got {source_vocab=}, {target_vocab=}.")
        self.source_vocab, self.target_vocab = source_vocab, target_vocab
        self._source_tokenizer: Any = None

    @property
    def source_tokenizer(self) -> Any:
        """Of what is read: its own, or the one of what is said; `model.source_tokenizer = None` leaves the latter alone."""
        return self.tokenizer if self._source_tokenizer is None else self._source_tokenizer

    @source_tokenizer.setter
    def source_tokenizer(self, tokenizer: Any) -> None:
        self._source_tokenizer = None if tokenizer is self.tokenizer else tokenizer

    @property
    def vocab_size(self) -> int:
        """Of the target, which the tokenizer's ids are for."""
        return self.target_vocab

    def inputs(self, batch: Any) -> tuple[Any, ...]:
        """Source, target and lengths of a batch; nothing is shifted here."""
        return batch.source, batch.target, batch.lengths

    def example(self, draw: Draw) -> Any:
        return examples.pairs(self, draw)

    def describe(self) -> dict[str, str]:
        return {"vocabularies": f"{self.source_vocab:,} tokens to {self.target_vocab:,}"}

    def check(self, source: Tensor, lengths: Tensor | None) -> None:
        """Raises: ZooError for what is no source, see `check_lengths`."""
        check_lengths(source, lengths)

    def check_length(self, length: int) -> None:
        """Raises: ZooError for a target of more tokens than there are places."""
        if self.max_length is not None and length > self.max_length:
            raise ZooError(
                f"A target of {length} tokens, and this {type(self).__name__} has {self.max_length} learned places: give a "
                "smaller max_new_tokens, or a shorter target."
            )

    @property
    def linear_head(self) -> None:
        """Its map to the vocabulary is no classifier of what was read: the decoder stands between."""
        return

    def embeddings(self) -> dict[str, nn.Embedding]:
        """Of "source" and "target", as far as there are; here of the target, where it is called `embed`."""
        found = getattr(self, "embed", None)
        return {} if found is None else {"target": found}

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Said:
        """Read source sentences."""
        raise NotImplementedError(f"{type(self).__name__} is a model of pairs without `encode`: define it.")

    def decode(self, target: Tensor, memory: Any, state: Any = None) -> tuple[Tensor, Any]:
        """(logits [B, T, V], where the decoder stands then); state: None at the beginning of a target."""
        raise NotImplementedError(f"{type(self).__name__} is a model of pairs without `decode`: define it.")

    def generate(self, source: Tensor, lengths: Tensor | None = None, **options: Any) -> Any:
        """The targets of source sentences, see `zoo.generation.pairs.generate`."""
        from zoo.generation.pairs import generate

        self.check(source, lengths)
        return generate(self, source, lengths, **options)

    def forward(self, source: Tensor, target: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits [B, T, target_vocab] of what follows each token of the target."""
        self.check(source, lengths)
        return self.decode(target, self.encode(source, lengths))[0]


def check_lengths(source: Tensor, lengths: Tensor | None) -> None:
    """Raises: ZooError for numbers that are no lengths of these sentences; an empty sentence has nothing to look at."""
    if not isinstance(source, Tensor) or source.ndim != 2:
        raise ZooError(f"Source sentences are ids [B, S] in a tensor, padded on the right; got {str(source)[:60]!r}.")
    if lengths is None:
        if source.shape[1] == 0:
            raise ZooError("A source sentence has 1 token or more; got none.")
        return
    if lengths.shape != source.shape[:1]:
        raise ZooError(f"lengths is one number a sentence, [{len(source)}]; got {list(lengths.shape)}.")
    if torch.compiler.is_compiling() or not len(lengths):  # a graph goes by no value
        return
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= source.shape[1]:
        raise ZooError(
            f"A source sentence has 1 to {source.shape[1]} tokens here; lengths go from {int(lengths.min())} to "
            f"{int(lengths.max())}."
        )
