"""What may be asked of a model, and of two together; refused in a sentence before anything is computed."""

from typing import Any

from torch import nn

from zoo.errors import ZooError


def check_model(model: Any) -> None:
    """Raise ZooError for a model that does not predict next tokens."""
    name = type(model).__name__
    if getattr(model, "objective", None) != "causal":
        raise ZooError(
            f"{name} does not predict what comes next, so it generates nothing: take a causal language model "
            "(of a model of pairs, zoo.translate(model, text))."
        )
    if model.num_classes or isinstance(model.head, nn.Identity):
        has = f"a classifier of {model.num_classes} classes" if model.num_classes else "no head"
        raise ZooError(f"This {name} has {has} where generation needs logits over the vocabulary.")


#: What a length's power may be: beyond it lengths of thousands of tokens are no numbers.
MOST_PENALTY = 20


def check_length_penalty(value: Any, called: str = "length_penalty") -> None:
    """Raise ZooError for one that ranks nothing, whether beams ask for it or not."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST_PENALTY:
        raise ZooError(
            f"{called}={value} is not a number from -{MOST_PENALTY} to {MOST_PENALTY}; 1.0 is the usual one."
        )


def check_request(
    max_new_tokens: int, num_beams: int, temperature: float, length_penalty: float, draft: Any, stream: bool
) -> None:
    """Raise ZooError for numbers that mean nothing, and for what does not go together."""
    check_length_penalty(length_penalty)
    for name, value in (("max_new_tokens", max_new_tokens), ("num_beams", num_beams)):
        if type(value) is not int or value < 1:
            raise ZooError(f"{name} is a whole number, at least 1; got {value!r}.")
    if num_beams == 1:
        return
    if temperature != 0:
        raise ZooError(
            f"num_beams={num_beams} searches for the likeliest text, and temperature={temperature} draws one: "
            "give temperature=0, or num_beams=1."
        )
    if draft is not None or stream:
        other = "draft" if draft is not None else "stream"
        raise ZooError(
            f"Beams decide on their tokens at the end, so num_beams={num_beams} and {other}= exclude each other: leave one out."
        )


def check_draft(model: Any, draft: Any, batch: int) -> None:
    """Raise ZooError for a draft that speaks of other tokens, or a batch of several."""
    if batch > 1:
        raise ZooError(
            f"draft= is for one text at a time; got {batch}: rows would be at different places. Call once for each."
        )
    if isinstance(draft, str):
        if draft != "lookup":
            raise ZooError(f'draft is a model or "lookup"; got {draft!r:.80}.')
        return
    check_model(draft)
    if draft.vocab_size != model.vocab_size:
        raise ZooError(
            f"The draft has a vocabulary of {draft.vocab_size} and the model one of {model.vocab_size}: they must have "
            "the same tokenizer."
        )
    if None not in (draft.tokenizer, model.tokenizer) and draft.tokenizer != model.tokenizer:
        raise ZooError(
            "The draft has another tokenizer than the model, so its ids mean other tokens: take one with the same."
        )


def check_places(model: Any, prompt: int, max_new_tokens: int) -> None:
    """Raise ZooError where the longest prompt and its new tokens have more places than the model has learned."""
    needed = prompt + max_new_tokens - 1  # the last token is not read
    if model.position.length is not None and needed > model.context:
        raise ZooError(
            f"A prompt of {prompt} tokens and {max_new_tokens} new ones need {needed} places, and {type(model).__name__} has "
            f"{model.context} learned ones: at most max_new_tokens={max(model.context - prompt + 1, 0)} here, or a "
            "shorter prompt."
        )
