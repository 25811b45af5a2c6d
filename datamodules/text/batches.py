"""Batches of text: what a model reads, what it is to say, and whose text it is."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from datamodules.moving import Moving

#: A target that nobody is asked for: padding, a prompt, the end of a document. torch's cross-entropy leaves it out.
NOTHING = -100


@dataclass(eq=False)
class TextBatch(Moving):
    """Rows of tokens, and for each the token after it. The shift by one is made here and nowhere else (bug 30).

    Args:
        ids: [B, N] long; padding has the pad id, or 0.
        targets: [B, N] long, the token after each; NOTHING (-100) where none is asked for.
        mask: [B, N] bool, True = a token; None: all are.
        pos: [B, N] long, places that begin again with each document of a row; None: the order in the row.
        documents: [B, N] long, which document of the row a token belongs to, -1 for padding; documents do not see each
            other. None: a row is one text.
        num_bytes: [B] long, bytes of the text that the row's targets stand for: bits_per_byte = nats / log(2) / bytes.
        sample: [B] long, numbers of the rows in their part: with seed and epoch the key to what a task draws for each.
        seed, epoch: of training; (0, 0) in evaluation, so that what is drawn stays the same.
    """

    ids: Tensor
    targets: Tensor
    mask: Tensor | None = None
    pos: Tensor | None = None
    documents: Tensor | None = None
    num_bytes: Tensor | None = None
    sample: Tensor | None = None
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(eq=False)
class LabelledText(TextBatch):
    """Texts with labels, a text a row; what is not labelled of it can be learned from too.

    Args:
        labels: [B] long; float [B, C] of 0 and 1 where a text may have several classes.
        rows: rows that count by stage, as graphs have them; None: all.
    """

    labels: Tensor | None = None
    rows: Any = None


@dataclass(eq=False)
class TaggedText(TextBatch):
    """Sentences with a tag a word, a sentence a row.

    Args:
        tags: [B, N] long, at a word's first token the word's tag; NOTHING at all others.
        gold: [B, W] long, the tags of all words of the sentence, in order; NOTHING behind them.
        places: [B, W] long, where each word's first token stands in the row; -1 where it has none there: it lies beyond the
            context, or the tokenizer makes no token of it. Such words count, as not recognised.
    """

    tags: Tensor | None = None
    gold: Tensor | None = None
    places: Tensor | None = None


@dataclass(eq=False)
class SpanText(TextBatch):
    """Questions with their contexts, of which the answers are stretches: all windows of B questions, a window a row.

    Args:
        segments: [R, N] long, 0 of the question's tokens and 1 of the context's.
        question: [R] long, which of the B questions a row is of.
        places: [B, L] long, of each token of a context the index into the R N tokens of the rows where it is asked, each once;
            -1 behind its end (`zoo.text.spans`).
        start, end: [B] long, the first and the last token of the first answer, of the L.
        starts, ends: [B, L] long, the characters that each of the L tokens is of: context[start:end].
        contexts: B texts.
        answers: of each question, all texts that are right.
        names: B ids.
    """

    segments: Tensor | None = None
    question: Tensor | None = None
    places: Tensor | None = None
    start: Tensor | None = None
    end: Tensor | None = None
    starts: Tensor | None = None
    ends: Tensor | None = None
    contexts: tuple[str, ...] = ()
    answers: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] = ()
