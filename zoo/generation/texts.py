"""`zoo.generate`: the same from text to text."""

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.errors import ZooError
from zoo.generation.checks import check_model
from zoo.generation.generated import Pieces, Stream
from zoo.generation.loop import generate
from zoo.generation.stopping import Stop, Tail


def text(model: Any, prompt: str | Sequence[str], max_new_tokens: int = 64, **how: Any) -> list[str] | Iterator[Any]:
    """What the model writes after a text, or after each of several.

        zoo.generate(model, "Once upon a time", temperature=0.8, stop="\\n")     # ["..."]
        for piece in zoo.generate(model, "Once upon a time", stream=True):
            print(piece, end="", flush=True)

    Args:
        model: a causal language model with a tokenizer.
        prompt: a text, or a list of texts; an empty one begins with bos.
        max_new_tokens: of each.
        how: as of `model.generate`.

    Returns:
        The new text alone of each prompt, up to a stop string or end token, which are no part of it. With stream=True an
        iterator of pieces, str for one text and [str] for a list: together they are that text. No piece breaks a character or
        shows what may be the beginning of a stop string. With a draft its `acceptance` is as of `Generated`.

    Raises:
        ZooError: a model without a tokenizer, prompts that are no text, and what `model.generate` refuses.
    """
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise ZooError(
            "This model has no tokenizer, so it reads no text: set model.tokenizer, or give ids to model.generate."
        )
    check_model(model)
    texts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not all(isinstance(each, str) for each in texts):
        raise ZooError(f"A prompt is a text or a list of texts; got {prompt!r:.80}.")
    rows = [tokenizer.prompt(each) for each in texts]
    given = how.get("stop")
    stop = Stop(given, end_tokens=model.end_tokens, vocab_size=model.vocab_size, tokenizer=tokenizer)
    tails = [stop.tail(row) for row in rows]
    made = generate(model, rows, max_new_tokens, **how)
    if isinstance(made, Stream):
        return Pieces(made, _pieces(made, tails, stop, isinstance(prompt, str)))
    return [
        "".join(map(tail.push, _before_end(ids[:length], stop))) + tail.rest()
        for tail, ids, length in zip(tails, made.ids.tolist(), made.lengths.tolist(), strict=True)
    ]


def _before_end(ids: list[int], stop: Stop) -> list[int]:
    return ids[:-1] if ids and ids[-1] in stop.ids else ids


def _pieces(made: Stream, tails: list[Tail], stop: Stop, one: bool) -> Iterator[Any]:
    shown = [0] * len(tails)  # tokens of each row
    for token in made:
        pieces = []
        for row, (tail, each) in enumerate(zip(tails, token.tolist(), strict=True)):
            goes_on = shown[row] < made.rows.lengths[row] and each not in stop.ids
            shown[row] = made.rows.lengths[row]
            pieces.append(tail.push(each) if goes_on else tail.rest())
        if any(pieces):
            yield pieces[0] if one else pieces
    if any(rest := [tail.rest() for tail in tails]):
        yield rest[0] if one else rest
