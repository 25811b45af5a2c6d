"""Perplexity of a text under a trained model: exp(total NLL / predicted tokens), each token predicted once.

    python -m zoo report perplexity run=runs/<a run> path=book.txt context=256 stride=128

The text is read in windows of `context` tokens, each beginning `stride` tokens after the one before it, and of each window
those tokens count that no earlier one predicted: all but the first are predicted from at least context - stride tokens before
them. A smaller stride gives a truer figure and takes longer; context=stride cuts the text into pieces. The first token is
predicted only where the tokenizer has a token that a text begins with. Settings: run, path, context (default: the model's),
stride (default: half of it), batch_size (how many windows at a time; the figure does not depend on it), weights (int8 or
bfloat16: the model rounded so), trust (packages of your own that the run may name).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo.errors import ZooError
from zoo.reports.settings import read_settings


class Window(NamedTuple):
    """Tokens [begin, end) are read; the last `counted` of the tokens [begin + 1, end + 1) that they predict are counted."""

    begin: int
    end: int
    counted: int


def windows(tokens: int, context: int, stride: int) -> list[Window]:
    """Windows over a text that predict each of its tokens but the first exactly once.

    Raises: ZooError for a stride that leaves tokens out.
    """
    if not 1 <= stride <= context:
        raise ZooError(f"stride={stride} is not within 1 and context={context}: tokens would be left out.")
    found, predicted, begin = list[Window](), 1, 0  # predicted: the first so many tokens, the very first by itself
    while predicted < tokens:
        end = min(begin + context, tokens - 1)
        found.append(Window(begin, end, end + 1 - predicted))
        predicted, begin = end + 1, begin + stride
    return found


@torch.no_grad()
def losses(model: Any, ids: Sequence[int] | np.ndarray, context: int, stride: int, batch_size: int = 8) -> np.ndarray:
    """[len(ids) - 1]: nats of each token but the first, given what stands before it in its window.

    Args:
        model: a causal language model, in eval mode.
        ids: of the text.
        context, stride: see `windows`.
        batch_size: windows at a time; the last, where it is shorter, by itself.
    """
    device = next(model.parameters()).device
    given = torch.as_tensor(ids, device=device)
    found = np.empty(max(len(given) - 1, 0))
    every = windows(len(given), context, stride)
    whole = [window for window in every if window.end - window.begin == context]
    groups = [whole[i : i + batch_size] for i in range(0, len(whole), batch_size)]
    for group in (*groups, *([each] for each in every[len(whole) :])):
        read = torch.stack([given[w.begin : w.end] for w in group])
        wanted = torch.stack([given[w.begin + 1 : w.end + 1] for w in group])
        nats = -model.forward(read).double().log_softmax(-1).gather(-1, wanted[..., None])[..., 0]
        for window, row in zip(group, nats.cpu().numpy(), strict=True):
            found[window.end - window.counted : window.end] = row[len(row) - window.counted :]
    return found


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    run: str
    path: str
    context: int | None = None
    stride: int | None = None
    batch_size: int = 8
    weights: str | None = None
    trust: tuple[str, ...] = ()


def run(words: Sequence[str]) -> None:
    """Read the file, print perplexity and bits per byte."""
    from zoo.console import table

    settings = read_settings(words, Settings)
    model, text = rounded(load_causal(settings.run, settings.trust), settings.weights), read_text(settings.path)
    context = min(settings.context or model.context, model.context)
    stride = settings.stride or max(context // 2, 1)
    ids, sizes = measured(model.tokenizer, text)
    windows(len(ids), context, stride)  # what is refused is refused before anything is computed
    if len(ids) < 2:
        raise ZooError(f"{settings.path} holds {len(ids)} tokens, of which none can be predicted; give a longer text.")
    nats = losses(model, ids, context, stride, settings.batch_size)
    total, size = float(nats.sum()), int(sizes[1:].sum())
    begun = (
        "from a beginning of text on" if model.tokenizer.bos is not None else "but the first, which nothing predicts"
    )
    rows = [
        ("perplexity", f"{math.exp(total / len(nats)):.6g}"),
        ("loss", f"{total / len(nats):.6g} nats a token"),
        ("bits_per_byte", f"{total / math.log(2) / size:.6g}"),
        ("predicted", f"{len(nats):,} tokens, {begun}; {size:,} bytes"),
        ("windows", f"{len(windows(len(ids), context, stride)):,} of {context} tokens, {stride} apart"),
    ]
    table(rows, f"{settings.path} under {settings.run}" + (f" in {settings.weights}" if settings.weights else ""))


def rounded(model: Any, weights: str | None) -> Any:
    """The model with its weights rounded. Raises: ZooError for what is neither int8 nor bfloat16."""
    import zoo

    if weights in (None, "float32"):
        return model
    if weights == "bfloat16":
        return model.to(torch.bfloat16)
    return zoo.quantize(model, weights)


def load_causal(run: str, trust: Sequence[str] = ()) -> Any:
    """A model that predicts the next token, with its tokenizer. Raises: ZooError for any other."""
    import zoo
    from zoo.models.language.base import LanguageModel

    model = zoo.load(run, trust=trust)
    if not isinstance(model, LanguageModel) or model.num_classes or model.objective != "causal":
        raise ZooError(
            f"{run} is a {type(model).__name__} that does not predict the next token; give a run of model=gpt or the like."
        )
    if model.tokenizer is None:
        raise ZooError(f"{run} has no tokenizer, without which a text is no ids.")
    return model


def read_text(path: str) -> str:
    """A text file. Raises: ZooError where it cannot be read, or is no UTF-8 (path, byte)."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZooError(f"{path} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}.") from error
    except OSError as error:
        raise ZooError(f"{path} cannot be read: {error.strerror}.") from error


def measured(tokenizer: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
    """(ids of a text, bytes that each stands for), behind the token that begins a text where there is one."""
    ids, sizes = tokenizer.measured(text)
    if tokenizer.bos is None:
        return ids, sizes
    return np.concatenate([[tokenizer.bos], ids]), np.concatenate([[0], sizes])
