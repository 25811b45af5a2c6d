"""`generate` of models of pairs: from a source sentence to the tokens of its target, by the same loops as texts."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.generation.checks import check_request
from zoo.generation.generated import Generated, Stream
from zoo.generation.loop import evaluating, one_by_one, searched
from zoo.generation.packed import ROWS, packed_of
from zoo.generation.prompts import Prompts, prompts
from zoo.generation.sampling import Draws, Sampling
from zoo.generation.stopping import Rows, Stop
from zoo.generation.threads import threads_for


class PairReader:
    """A decoder and where it stands, as the loops of generation ask for it: `zoo.generation.reader.Reader` of a text.

    Args:
        model: has `encode` and `decode`.
        source, lengths: what its encoder reads, see `PairModel`.
        steps: how often it will read further tokens.
        beams: rows for each source sentence.
    """

    def __init__(self, model: Any, source: Tensor, lengths: Tensor | None, steps: int, beams: int = 1):
        self.model, self.read = model, 0
        self.state: Any = None
        images = getattr(model, "encoder", None) if model.source_vocab is None else None
        self.packed = packed_of(model, beams * len(source), steps, but=images)
        with torch.no_grad(), self._products(source.numel()):
            self.memory = model.encode(source, lengths)
        if beams > 1:
            self.memory = self.memory.repeat(beams)

    def _products(self, tokens: int) -> AbstractContextManager[None]:
        """The matrices that so many tokens are read with."""
        return nullcontext() if self.packed is None or tokens > ROWS else self.packed.in_place()

    @torch.no_grad()
    def prompt(self, start: Prompts) -> Tensor:
        """Read what every target begins with; logits [B, V] of what follows."""
        self.state, self.read = None, 0
        return self.step(start.ids)[:, -1]

    @torch.no_grad()
    def step(self, ids: Tensor) -> Tensor:
        """Read n further tokens [B, n] of each row; logits [B, n, V] behind each of them."""
        self.read += ids.shape[1]
        with self._products(ids.numel()):
            logits, self.state = self.model.decode(ids, self.memory, self.state)
        return logits

    def reorder(self, index: Tensor) -> None:
        """Row i is now what row index[i] was; rows change places among the beams of one sentence alone, so memory stays."""
        self.state = self.state.reorder(index)


def generate(
    model: Any,
    source: Tensor,
    lengths: Tensor | None = None,
    max_new_tokens: int = 64,
    *,
    begin: int | Sequence[int] | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    suppress_tokens: Sequence[int] | None = None,
    stop: int | str | Iterable[int | str] | None = None,
    seed: int | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    stream: bool = False,
) -> Generated | Stream:
    """The target of each source sentence, y_t ~ p(y_t | y_<t, x) one after another; greedy where nothing else is said.

    Args:
        model: a `zoo.models.pairs.base.PairModel`.
        source: [B, S] long, padded on the right.
        lengths: [B], tokens of each; None: all are.
        begin: the token that a target begins with, or several; None: the model's begin_tokens, or the tokenizer's bos.
        suppress_tokens: ids that are never said; None: the model's.
        max_new_tokens, temperature, top_k, top_p, min_p, repetition_penalty, stop, seed, num_beams, length_penalty, stream: as
            of a text's `zoo.generation.loop.generate`; stop None: the model's end_tokens, or the tokenizer's eos.

    Returns: Generated(ids [B, n], lengths [B], logprobs [B, n]), or a `Stream`.
    Raises: ZooError as there; where nobody says what a target begins with; more tokens than learned places.
    """
    check_request(max_new_tokens, num_beams, temperature, length_penalty, None, stream)
    tokenizer, V = model.tokenizer, model.target_vocab
    never = model.suppress_tokens if suppress_tokens is None else tuple(suppress_tokens)
    if wrong := [each for each in never if type(each) is not int or not 0 <= each < V]:
        raise ZooError(f"suppress_tokens has {wrong[0]!r:.80}, outside the vocabulary of this model, 0 to {V - 1}.")
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, never)
    if begin is None:
        begin = model.begin_tokens or (None if tokenizer is None else tokenizer.bos)
    if begin is None:
        raise ZooError(
            "Nobody says which token a target begins with: give begin=, or a model with a tokenizer that has a bos."
        )
    begin = [begin] if isinstance(begin, int) else list(begin)
    model.check_length(len(begin) + max_new_tokens - 1)  # the last token is not read
    eos = None if tokenizer is None or tokenizer.eos is None else [tokenizer.eos]
    ends = Stop(stop, end_tokens=model.end_tokens or eos, vocab_size=V, tokenizer=tokenizer)
    start = prompts([begin] * len(source), vocab_size=V, device=source.device)
    rows = Rows(ends, start.rows())
    with ExitStack() as stack:
        stack.enter_context(evaluating([model]))
        if not stream:  # between whose tokens others compute
            stack.enter_context(threads_for(model, num_beams * len(source)))
        if lengths is not None and bool((lengths == source.shape[1]).all()):
            lengths = None  # then nobody asks at each step what is padding
        reader: Any = PairReader(model, source, lengths, max_new_tokens, num_beams)
        if num_beams > 1:
            return searched(reader, start, ends, sampling, max_new_tokens, num_beams, length_penalty)
        made = Stream(one_by_one(reader, start, sampling, Draws(seed, len(source)), rows, max_new_tokens), rows)
        if not stream:
            return made.all()
        made.at_end = stack.pop_all().close  # the model stays as it is until the last token
        return made
