"""`generate`: from prompts to new tokens. What is asked for is checked here, before anything is computed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.generation.beams import beam_search
from zoo.generation.checks import check_draft, check_model, check_places, check_request
from zoo.generation.generated import Generated, Stream
from zoo.generation.prompts import Prompts, prompts
from zoo.generation.reader import Reader
from zoo.generation.sampling import Draws, Sampling, logprob_of, wide
from zoo.generation.speculation import Lookup, ModelDraft, Speculation
from zoo.generation.stopping import Rows, Step, Stop


def generate(
    model: Any,
    ids: Tensor | Sequence[Sequence[int]],
    max_new_tokens: int = 64,
    *,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | str | Iterable[int | str] | None = None,
    seed: int | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    draft: Any = None,
    cache: Any = "full",
    prefill_chunk: int | None = None,
    compile: bool = False,
    stream: bool = False,
) -> Generated | Stream:
    """New tokens after each prompt, x_t ~ p(x_t | x_<t) one after another.

    Args:
        model: a causal language model (`zoo.models.language`).
        ids: prompts: [B, N], with `mask` where rows are padded, or a list of rows of any lengths. An empty one begins with bos.
        max_new_tokens: of each row.
        mask: [B, N] bool, True = a token; padding stands left or right of a row's tokens.
        temperature: logits are divided by it; 0: the likeliest token, always (greedy).
        top_k: draw from the k likeliest.
        top_p: draw from the smallest set of the likeliest whose mass is at least top_p.
        min_p: draw from those at least min_p times as likely as the likeliest.
        repetition_penalty: above 1, tokens that were there, the prompt's included, become less likely.
        stop: what ends a row: ids, strings, or a list of both; None: the model's own end tokens; []: its length alone.
        seed: row r draws as a batch of one with seed + r does; None: torch's own generator decides.
        num_beams: above 1 a beam search, at temperature 0: of the texts that it finds, that of the largest
            sum(logprobs) / length ** length_penalty.
        length_penalty: above 0 favours longer texts; from -20 to 20.
        draft: proposes tokens that the model then reads at once; a smaller model with the same tokenizer, or "lookup" (what
            followed the last tokens where they stood before). Batch 1. What comes out is distributed as without.
        cache: "full", "none", "window:N", "sinks:S+N", "heavy:H+N", "int8", or a factory.
        prefill_chunk: the prompt is read so many tokens at a time.
        compile: run a compiled step; it is compiled once for a batch size and a bucket of lengths.
        stream: an iterator of tokens [B] as they come in place of `Generated`.

    Returns:
        Generated(ids [B, n], lengths [B], logprobs [B, n]), or a `Stream`, whose `generated()` is that.

    Raises:
        ZooError: what `Prompts`, `Sampling`, `Stop`, `Reader` refuse; more tokens than learned positions; beams with sampling,
            a draft or a stream; a draft of another vocabulary, or for several rows; a model that predicts no next token.
    """
    check_model(model)
    check_request(max_new_tokens, num_beams, temperature, length_penalty, draft, stream)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    tokenizer, V, device = model.tokenizer, model.vocab_size, model.embed.weight.device
    ends = Stop(stop, end_tokens=model.end_tokens, vocab_size=V, tokenizer=tokenizer)
    start = prompts(ids, mask, vocab_size=V, bos=None if tokenizer is None else tokenizer.bos, device=device)
    if draft is not None:
        check_draft(model, draft, len(start.ids))
    models = [model, draft] if isinstance(draft, nn.Module) else [model]
    for each in models:
        check_places(each, max(start.lengths), max_new_tokens)
    length = start.ids.shape[1] + max_new_tokens - 1  # the last token is not read
    reading = partial(Reader, length=length, steps=max_new_tokens, cache=cache, chunk=prefill_chunk, compiled=compile)
    rows, draws = Rows(ends, start.rows()), Draws(seed, len(start.ids))
    with ExitStack() as stack:
        stack.enter_context(evaluating(models))
        reader = reading(model, len(start.ids) * num_beams)
        if num_beams > 1:
            return searched(reader, start, ends, sampling, max_new_tokens, num_beams, length_penalty)
        if draft is None:
            made = Stream(one_by_one(reader, start, sampling, draws, rows, max_new_tokens), rows)
        else:
            proposer = Lookup(V, device) if draft == "lookup" else ModelDraft(reading(draft, 1), sampling, draws)
            speculation = Speculation(reader, proposer, sampling, draws)
            made = Stream(speculation.steps(start, rows, max_new_tokens), rows, speculation)
        if not stream:
            return made.all()
        made.at_end = stack.pop_all().close  # the models stay as they are until the last token
        return made


@contextmanager
def evaluating(models: Sequence[nn.Module]) -> Iterator[None]:
    """Modules that train do not, for a while (dropout)."""
    training = [each for model in models if model.training for each in model.modules() if each.training]
    for each in training:
        each.training = False
    try:
        yield
    finally:
        for each in training:
            each.training = True


def one_by_one(
    reader: Reader, start: Prompts, sampling: Sampling, draws: Draws, rows: Rows, max_new_tokens: int
) -> Iterator[Step]:
    """The plain loop: a token, then the model reads it."""
    scores = wide(reader.prompt(start))
    seen = start.seen(scores.shape[-1]) if sampling.remembers else None
    for left in reversed(range(max_new_tokens)):
        if sampling.greedy:
            token = sampling.penalised(scores, seen).argmax(-1)
        else:
            token = draws.token(sampling.probabilities(scores, seen))
        step = rows.take(token, logprob_of(token, scores))
        yield step
        if left == 0 or rows.all:
            return
        if seen is not None:
            seen.scatter_(1, step.token[:, None], True)
        scores = wide(reader.step(step.token[:, None])[:, -1])


def searched(
    reader: Reader, start: Prompts, stop: Stop, sampling: Sampling, max_new_tokens: int, num_beams: int, penalty: float
) -> Generated:
    """Beam search with a model: a reader of `num_beams` rows for each prompt."""
    begun, prompts, seen = start.ids.shape[1], start.rows(), None

    def log_probs(tokens: Tensor, reader: Reader) -> Tensor:
        if tokens.shape[1] == begun:  # all beams of a row are one still
            return wide(reader.prompt(start.repeated(num_beams)))[::num_beams].log_softmax(-1)
        return wide(reader.step(tokens[:, -1:])[:, -1]).log_softmax(-1)

    def reorder(reader: Reader, index: Tensor) -> Reader:
        reader.reorder(index * num_beams if reader.read == begun else index)
        return reader

    def adjust(scores: Tensor, tokens: Tensor) -> Tensor:
        nonlocal seen
        if not sampling.remembers:
            return sampling.penalised(scores, None)
        seen = start.seen(scores.shape[-1]) if seen is None else seen
        there = seen.repeat_interleave(len(tokens) // len(seen), 0).scatter_(1, tokens[:, begun:], True)
        return sampling.penalised(scores, there)

    found = beam_search(
        log_probs, start.ids, reader, reorder, num_beams=num_beams, max_new_tokens=max_new_tokens, adjust=adjust,
        ends=lambda new, row: stop.ends(new, prompts[row]), length_penalty=penalty,
    )  # fmt: skip
    longest, device = max(len(text.ids) for text in found), start.ids.device
    filled = [[*text.ids, *[stop.fill] * (longest - len(text.ids))] for text in found]
    logprobs = [[*text.logprobs, *[0.0] * (longest - len(text.ids))] for text in found]
    lengths = torch.tensor([len(text.ids) for text in found], device=device)
    made = Generated(torch.tensor(filled, device=device), lengths, torch.tensor(logprobs, device=device))
    made.scores = torch.tensor([text.total / len(text.ids) ** penalty for text in found], device=device)
    return made
