"""What a model says of a sentence, and how much each of its tokens read of each.

A classifier names classes, or marks entities where it has tags; a causal model tells the likeliest next tokens, a masked
model those that may stand for each [MASK].
"""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.console import table
from zoo.errors import ZooError, one_line

if TYPE_CHECKING:
    from torch import Tensor

WHAT, OPTIONS = "a sentence", ("layer", "head", "context")
TOP = 5
MASK = "[MASK]"
#: One word that ends so is the path of a file that other models read.
IMAGES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)  # zoo.preprocess's, which imports torch
#: What a classifier of each token says (`model.targets`) -> the file here that tells it.
SAYS = {"tags": "tags", "span": "spans"}
FILES = {"an image": IMAGES, "a graph": (".npz",), "a table": (".csv", ".tsv")}


def options(parser: argparse.ArgumentParser) -> None:
    """Which attention is drawn, and what a question is about."""
    parser.add_argument("--layer", type=int, help="of a sentence: the layer that is drawn, from 0 (default: the last)")
    parser.add_argument("--head", type=head, help="of a sentence: the head, from 0, or mean (default: every one)")
    parser.add_argument("--context", metavar="FILE", help="of a question: the text that answers it, a file of UTF-8")


def head(word: str) -> int | str:
    """The word of --head."""
    if word != "mean" and not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is neither a number from 0 on nor mean")
    return word if word == "mean" else int(word)


def name(source: str) -> tuple[str, ...]:
    """The first words, as a file may be called."""
    words = re.findall(r"\w+", source)
    return ("-".join(words[:5])[:40] or "empty",)


def check(model: Any, source: str, run: str) -> None:
    """Raises: ZooError for a model that cannot read letters, and for what is a file of another kind."""
    suffix = Path(source).suffix.lower() if len(source.split()) == 1 else ""
    if found := next((what for what, ends in FILES.items() if suffix in ends), None):
        raise ZooError(
            f"{run} is a {type(model).__name__}, which reads text, and {one_line(source, 200)} is {found}; give a sentence."
        )
    if model.tokenizer is None:
        raise ZooError(
            f"{run} has no tokenizer, without which a sentence is no ids; save one beside the model: "
            "tokenizer.save('tokenizer.json')."
        )


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> None:
    """Print the classes or the tokens, draw the attention."""
    if getattr(options, "context", None) is not None and model.targets != "span":
        raise ZooError(
            f"--context {options.context} is for a question about a text, and {options.run} answers none; leave it out."
        )
    from zoo.cli._model import check_answer
    from zoo.inspect.tokens import choose, plot_tokens, read

    if says := of_tokens(model):
        return import_module(f"zoo.cli.predict.{says}").predict(model, source, options, png)
    top = options.top or TOP
    ids = encode(model, source)
    outputs, weights = read(model, ids)
    if not model.num_classes and outputs.shape[-1] != model.vocab_size:
        raise ZooError(f"{type(model).__name__} has no head: it gives hidden states, which say nothing by themselves.")
    maps = choose(weights, options.layer, options.head)  # before anything is told
    check_answer(outputs, model, options.run)
    _tell(model, outputs, ids, source, top)
    print(plot_tokens(maps, [model.tokenizer.token(id) for id in ids], png).absolute())


def of_tokens(model: Any) -> str | None:
    """Of a model with a classifier of each token the file here that tells what it says; None of others.

    Raises: ZooError for one of which nobody has told what it says.
    """
    if not (model.num_classes and getattr(model, "per_token", False)):
        return None
    if model.targets not in SAYS:
        raise ZooError(
            f"This {type(model).__name__} has {model.num_classes} outputs of each token, and nothing tells what they are for."
        )
    return SAYS[model.targets]


def encode(model: Any, source: str) -> list[int]:
    """The ids of a sentence as the model was trained on such: behind its beginning and before its end where it reads whole
    texts, without an end where it is to go on.

    Raises: ZooError for a masked model and a sentence without [MASK], or no tokens at all.
    """
    tokenizer = model.tokenizer
    if model.num_classes:
        ids = tokenizer.document(source)
    elif model.objective == "masked":
        ids = _masked(tokenizer, source)
    else:
        ids = tokenizer.prompt(source)
    if not ids:
        raise ZooError("the sentence is empty, and the tokenizer has no token that a text begins with; give a word.")
    return ids


def _masked(tokenizer: Any, source: str) -> list[int]:
    if tokenizer.mask is None:
        raise ZooError("the model guesses masked tokens, and its tokenizer has no mask token; train with one that has.")
    parts = source.split(MASK)
    if len(parts) == 1:
        raise ZooError(
            f"the model guesses what is hidden: write {MASK} in place of a word of {one_line(source, 60)!r}."
        )
    if len(tokenizer.encode(" a")) == len(
        tokenizer.encode("a")
    ):  # a space is part of the word after it: the guessed one too
        parts = [*(part.removesuffix(" ") for part in parts[:-1]), parts[-1]]
    pieces = [tokenizer.encode(part) if part else [] for part in parts]
    joined = [*chain.from_iterable([*piece, tokenizer.mask] for piece in pieces[:-1]), *pieces[-1]]
    return [id for id in (tokenizer.bos, *joined, tokenizer.eos) if id is not None]


def _tell(model: Any, outputs: Tensor, ids: list[int], source: str, top: int) -> None:
    from zoo.inspect.predictions import told
    from zoo.inspect.tokens import visible

    title = one_line(source, 200)
    if model.num_classes:
        return table(told(outputs[None], model, top)[0], title)
    tokenizer = model.tokenizer
    places = [i for i, id in enumerate(ids) if id == tokenizer.mask] if model.objective == "masked" else [len(ids) - 1]
    likely = outputs[places].softmax(-1)[:, : tokenizer.vocab_size]  # behind it a model may have room for more
    shares, found = likely.topk(min(top, likely.shape[-1]))
    rows = [
        [(visible(tokenizer.token(id)), f"{100 * share:.1f} %") for share, id in zip(*pair, strict=True)]
        for pair in zip(shares.tolist(), found.tolist(), strict=True)
    ]
    if len(rows) == 1:
        return table(rows[0], title)
    table([(f"{MASK} {i}", *(f"{said}  {share}" for said, share in row)) for i, row in enumerate(rows)], title)
