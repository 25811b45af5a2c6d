"""What a captioner says of images, and where it looks while it says each word."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli import _decoding
from zoo.cli.predict import images
from zoo.console import table
from zoo.errors import ZooError, printable

if TYPE_CHECKING:
    from torch import Tensor

WHAT = "an image that is to be said in words"
OPTIONS = (*images.OPTIONS, "layer", "head", *_decoding.OPTIONS, "stop")
PREFIX = "caption"
DRAWN = 6  # images of a folder that the figure shows

name = images.name


def options(parser: argparse.ArgumentParser) -> None:
    """How the words are chosen; `--data`, `--layer` and `--head` are there already."""
    _decoding.add(parser.add_argument_group("of captions"), _decoding.OPTIONS, max_new_tokens="64", temperature="0")


def check(model: Any, source: str, run: str) -> None:
    """Raises: ZooError for what is no image, or a model without words."""
    if model.tokenizer is None:
        raise ZooError(
            f"{run} has no tokenizer, without which it says no words; save one beside the model: tokenizer.json."
        )
    images.check(model, source, run)


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> int:
    """The caption of one image, a line for each of several; of the first what was looked at. Returns the exit code: 1 where
    some images of a folder cannot be read, which are told behind the others."""
    from zoo.inspect.captions import Shown, choose, look, plot_captions
    from zoo.inspect.preprocess import to_pixels

    if options.top is not None:
        raise ZooError(
            f"--top {options.top} is for classes and tokens; a caption is one text. Leave it out, or give --num-beams."
        )
    tested = source.startswith("test:")
    references: list[str] = []
    if tested:
        (found, references), broken = of_test_set(model, options, source), list[Any]()
    else:
        found, broken = images.images(model, options, source)
    names, inputs = zip(*found, strict=True)
    how = _decoding.chosen(options, _decoding.OPTIONS)
    said = [ids for i in range(0, len(inputs), images.BATCH) for ids in say(model, inputs[i : i + images.BATCH], how)]
    texts = [model.tokenizer.decode(ids) for ids in said]
    shown = []
    for each, image, ids, text in zip(names[:DRAWN], inputs, said, texts, strict=False):
        looked = look(model, image, ids)
        pixels = to_pixels(image, model.preprocess)[0]
        shown.append(
            Shown(
                f"{each if tested else images.shortened(each)}: {printable(text)}",
                pixels,
                looked.words,
                choose(looked, options.layer, options.head),
            )
        )
    if len(names) == 1:
        print(printable(texts[0]))
        if tested:
            print(printable(f"in the set: {references[0]}"))
    else:
        table([(each, printable(text)) for each, text in zip(names, texts, strict=True)])
    for reason in broken:
        print(f"error: {printable(reason)}", file=sys.stderr)
    print(printable(str(plot_captions(shown, png).absolute())))
    return int(bool(broken))


def of_test_set(model: Any, options: argparse.Namespace, source: str) -> tuple[list[tuple[str, Tensor]], list[str]]:
    """An image of the set that the run was tested on, in its order, and what was to be said of it."""
    from datamodules.captions import CaptionData

    number = images.number_of(source)
    data = images.test_data(model, options.run, options.trust, options.data, CaptionData)
    if number >= data.test_size:
        raise ZooError(f"{source} is beyond the test set; its {data.test_size} images are numbered from 0.")
    return [(source, data.test_image(number))], data.references("test")[number]


def say(model: Any, inputs: Any, how: dict[str, Any]) -> list[list[int]]:
    """The tokens that are said of each image [1, C, H, W], without the end token. Raises: ZooError for answers that are NaN."""
    import torch

    source: Tensor = torch.cat(list(inputs))
    made = model.generate(source.to(next(model.parameters())), **how)
    if not made.logprobs.isfinite().all():
        raise ZooError(f"The {type(model).__name__} answers NaN: its weights or settings are not those of a model.")
    rows = zip(made.ids.tolist(), made.lengths.tolist(), strict=True)
    return [[id for id in ids[:n] if id != model.tokenizer.eos] for ids, n in rows]
