"""`zoo.translate`: a model of pairs from text to text."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.errors import ZooError

BATCH = 32  # sentences at once


class Translated(NamedTuple):
    """One sentence: what was said, the ids that were read, and those that were said, the end token included."""

    text: str
    source: list[int]
    ids: list[int]


def translate(
    model: Any, text: str | Sequence[str], max_new_tokens: int | None = None, *, batch_size: int = BATCH, **how: Any
) -> list[str]:
    """What a model of pairs says for a text, or for each of several.

        zoo.translate(model, "Ein Mann fährt Rad.")                      # ["A man rides a bike."]
        zoo.translate(model, sentences, num_beams=5, length_penalty=1.0)

    Args:
        model: a model of pairs with its tokenizers.
        text: a sentence, or a list of sentences. Nothing is said for an empty one.
        max_new_tokens: of each; None: twice the tokens of its source, and 10.
        batch_size: sentences at once.
        how: as of `model.generate` (`zoo.generation.pairs.generate`): greedy where nothing else is said. Sentence i of seed s
            is a sentence alone with seed s + i, whatever the batches.

    Returns: a text for each, up to a stop string or end token, which are no part of it.
    Raises: ZooError for a model of something else or without a tokenizer, texts that are none, and as `model.generate`.
    """
    texts = [text] if isinstance(text, str) else text
    if isinstance(texts, Sequence) and not all(isinstance(each, str) for each in texts):
        raise ZooError(f"translate takes a text or a list of texts; got {text!r:.80}.")
    return [each.text for each in translations(model, texts, max_new_tokens, batch_size=batch_size, **how)]


def translations(
    model: Any,
    texts: Iterable[str],
    max_new_tokens: int | None = None,
    *,
    batch_size: int = BATCH,
    seed: int | None = None,
    **how: Any,
) -> Iterator[Translated]:
    """As `translate`, one after another, with what was read and said: of any number of texts memory holds a batch."""
    check_pairs(model)
    if type(batch_size) is not int or batch_size < 1:
        raise ZooError(f"batch_size is a whole number of sentences, at least 1; got {batch_size!r}.")
    if how.get("stream"):
        raise ZooError(
            "translate gives whole sentences; for tokens as they come call model.generate(..., stream=True)."
        )
    rest, first = iter(texts), 0
    while batch := list(islice(rest, batch_size)):
        drawn = {} if seed is None else {"seed": seed + first}
        yield from _batch(model, batch, max_new_tokens, **drawn, **how)
        first += len(batch)


def check_pairs(model: Any) -> None:
    """Raise ZooError for a model that reads no sentence to say another, or has no tokenizer to do so with text."""
    if "pairs" not in getattr(model, "reads", ()):
        raise ZooError(
            f"{type(model).__name__} does not say one sentence for another, so it translates nothing: give a model of pairs "
            "of sequences (bahdanau, transformer_2017, ...)."
        )
    if model.tokenizer is None:
        raise ZooError(
            "This model has no tokenizer, so it reads no text: set model.tokenizer, or give ids to model.generate."
        )
    if model.source_tokenizer.vocab_size > model.source_vocab:
        raise ZooError(
            f"This model reads ids below {model.source_vocab:,}, and its tokenizer makes {model.source_tokenizer.vocab_size:,} "
            "of them: set model.source_tokenizer to the one that it was trained with."
        )


def source_ids(model: Any, text: str) -> list[int]:
    """The tokens of a source sentence, with what its tokenizer puts around them; of an empty one none."""
    tokenizer = model.source_tokenizer
    return [*tokenizer.around[0], *tokenizer.encode(text), *tokenizer.around[1]] if text.strip() else []


def padded(rows: Sequence[Sequence[int]], device: Any = None) -> Tensor:
    """Rows one under another [B, longest], zeros on the right: what stands in padding is nobody's matter."""
    ids = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.long)
    for row, each in zip(ids, rows, strict=True):
        row[: len(each)] = torch.tensor(each, dtype=torch.long)
    return ids.to(device)


def room(tokens: int) -> int:
    """How long a target may become where nobody says."""
    return 2 * tokens + 10


def _batch(model: Any, texts: Sequence[str], most: int | None, **how: Any) -> Iterator[Translated]:
    from zoo.generation.stopping import Stop

    read = [source_ids(model, text) for text in texts]
    if not any(read):
        yield from (Translated("", [], []) for _ in texts)
        return
    filled = [
        ids or [0] for ids in read
    ]  # an empty one keeps its row, so that the others draw what they would draw alone
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in filled], device=device)
    longest = room(int(lengths.max())) if most is None else most
    made = model.generate(padded(filled, device), lengths, max_new_tokens=longest, **how)
    if made.logprobs.isnan().any():
        raise ZooError(f"This {type(model).__name__} answers NaN: its weights or settings are not those of a model.")
    tokenizer = model.tokenizer
    stop = Stop(
        how.get("stop"),
        end_tokens=model.end_tokens or _end(tokenizer),
        vocab_size=model.target_vocab,
        tokenizer=tokenizer,
    )
    for source, ids, n in zip(read, made.ids.tolist(), made.lengths.tolist(), strict=True):
        said = ids[: n if most is not None else min(n, room(len(source)))] if source else []
        yield Translated(_text(said, tokenizer, stop), source, said)


def _end(tokenizer: Any) -> list[int]:
    return [] if tokenizer.eos is None else [tokenizer.eos]


def _text(ids: list[int], tokenizer: Any, stop: Any) -> str:
    """Up to what ended it. Ids behind the vocabulary, for which released models leave room, stand for nothing."""
    whole = ids[:-1] if ids and ids[-1] in stop.ids else ids
    text = tokenizer.decode([id for id in whole if id < tokenizer.vocab_size])
    return text[: min((at for each in stop.strings if (at := text.find(each)) >= 0), default=len(text))]
