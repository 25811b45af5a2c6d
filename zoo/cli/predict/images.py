"""What a model says of images, and how much of each patch it read."""

import argparse
import inspect
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.console import console, table
from zoo.errors import ZooError, naming, one_line, printable

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.inspect.maps import PatchMaps
    from zoo.models import ImageModel, Model

BATCH = 32
PATCHES = 4096  # of an image: the attention of each layer is their square
DRAWN = 12  # images of a folder that the figure shows
WHAT, OPTIONS = "an image", ("data",)


def options(parser: argparse.ArgumentParser) -> None:
    """Where images of one's own lie."""
    parser.add_argument(
        "--data", metavar="FOLDER", help="of test:<number>: where the run's images lie, if in a folder of yours"
    )


def name(source: str) -> tuple[str, ...]:
    """The file and its folders; of `.` what it is called."""
    path = Path(source)
    return (path.with_suffix("") if path.name else path.absolute()).parts


def check(model: Any, source: str, run: str) -> None:
    """Raises: ZooError for a graph."""
    if source.lower().endswith(".npz"):
        kind = type(model).__name__
        raise ZooError(f"{kind} takes no graph, and {source} is one; give an image, or a run of a model of graphs.")


def predict(model: Any, source: str, options: argparse.Namespace, png: Path) -> int:
    """A table for one image, a line for each of several; a row of maps for each of the first. Returns the exit code: 1 where
    some images of a folder cannot be read, which are told behind the others."""
    import torch

    from zoo.cli._model import check_answer
    from zoo.inspect import predictions

    run, patches = options.run, math.prod(model.grid or ())
    if patches > PATCHES:
        raise ZooError(f"{run} reads {patches:,} patches, too many to draw who looks where (at most {PATCHES:,}).")
    found, broken = images(model, options, source)
    names, inputs = zip(*found, strict=True)
    answers = [predictions.predict(model, torch.cat(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)]
    outputs = torch.cat([answer.outputs for answer in answers])
    check_answer(outputs, model, run)
    best = predictions.told(outputs, model, options.top or 5)
    if len(names) == 1:
        table(best[0], names[0])
    else:
        table([(name, *(f"{said}  {share}" for said, share in row)) for name, row in zip(names, best, strict=True)])
    for reason in broken:
        print(f"error: {printable(reason)}", file=sys.stderr)
    code = int(bool(broken))
    maps = answers[0].maps  # a batch holds all that are drawn
    if maps is None:
        console().print(f"{type(model).__name__} has no attention to draw.", markup=False)
        return code
    firsts = [f"{printable(said)} {share}" for (said, share), *_ in best]
    titles = [f"{shortened(name)}\n{first}" for name, first in zip(names, firsts, strict=True)]
    print(printable(str(_draw(torch.cat(inputs[:DRAWN]), maps.first(DRAWN), model, png, titles[:DRAWN]))))
    return code


def images(model: "Model", options: argparse.Namespace, source: str) -> tuple[list[tuple[str, "Tensor"]], list[str]]:
    """Names, and inputs [1, C, H, W] of the model; and of a folder why some of its images cannot be read.

    Raises: ZooError where none can.
    """
    from zoo.inspect import to_input

    if source.startswith("test:"):
        return [_of_test_set(model, options, source)], []
    path = Path(source)
    if not path.exists():
        raise ZooError(f"{source} does not exist; give an image, a folder of images, or test:<number>.")
    prepared: Any = model.preprocess  # of images
    found, broken = list[tuple[str, "Tensor"]](), list[str]()
    for file in _files(path) if path.is_dir() else [path]:
        try:
            found.append((str(file), to_input(file, prepared)))
        except ZooError as error:
            broken.append(one_line(error))
    if not found:
        several = f"None of the {len(broken):,} images in {source} can be read; the first: " if len(broken) > 1 else ""
        raise ZooError(f"{several}{broken[0]}")
    return found, broken


def _files(folder: Path) -> list[Path]:
    from zoo.preprocess import EXTENSIONS, image_files

    found = image_files(folder)
    if not found:
        raise ZooError(f"{folder} holds no images ({', '.join(EXTENSIONS)}).")
    return found


def _of_test_set(model: "Model", options: argparse.Namespace, source: str) -> tuple[str, "Tensor"]:
    """An image of the set that the run was tested on, numbered in the fixed order of its figures."""
    number = number_of(source)
    data = test_data(model, options.run, options.trust, options.data)
    if number >= data.test_size:
        raise ZooError(f"{source} is beyond the test set; its {data.test_size} images are numbered from 0.")
    inputs, labels = data.test_images(number + 1)
    return f"{source} ({data.classes[int(labels[-1])]})", inputs[-1:]


def number_of(source: str) -> int:
    """Of test:<number>. Raises: ZooError for what is none."""
    number = source.removeprefix("test:")
    if not (number.isascii() and number.isdigit()):
        raise ZooError(f"{source} is not test:<number>; give a whole number from 0 on.")
    return int(number)


def test_data(
    model: Any, run: str | Path, trust: Sequence[str] = (), folder: str | None = None, kind: type | None = None
) -> Any:
    """The images that a run was tested on, of the data module in its config.yaml or its model folder's card, prepared as the
    model's.

    The file says which set; where files are looked for, and where something may be written, the reader says (`folder`,
    ZOO_DATA, ZOO_CACHE), and what the model was fed with its own `preprocess`. kind: the base of the data; None: `ImageData`.

    Raises: ZooError for a config that is none, or names what is not declared as data (docs/criteria.md, A8), or the files
        of the reader's own.
    """
    from datamodules.images import ImageData
    from zoo import conf, construct, packages
    from zoo.checked import model as checked
    from zoo.reports.of_run import told

    content, config = told(run)
    where = f"data in {config}"
    tree = checked.resolve(content.get("data"), where, None, "run", packages.checked(trust))
    if not (inspect.isclass(tree.target) and issubclass(tree.target, kind or ImageData)):
        raise ZooError(f"{where} is {tree.name}, which holds no images; give an image of your own.")
    mine: dict[str, Any] = {**conf.places(), "augment": None}
    if "tokenizer" in tree.given:
        mine["tokenizer"] = model.tokenizer
    kept: Any = tree.target
    if named := kept.places:
        if folder is None:
            said = one_line(tree.given.get(named[0]), 200)
            raise ZooError(
                f"{where} says {named[0]}={said}, and a file does not decide what of yours is read; give --data FOLDER."
            )
        mine |= {**dict.fromkeys(named), named[0]: folder}
    elif folder is not None:
        raise ZooError(f"--data {folder} is for images in a folder of yours; {where} is {tree.name}. Leave it out.")
    prepared = model.preprocess
    if prepared is not None:
        mine |= {"img_size": None, "in_chans": None, "normalise": None}
    with naming(where):
        data = construct.make(tree, **mine)
        data.use_preprocess(asdict(prepared) if prepared else {})
        data.setup()
    return data


def shortened(name: str, most: int = 18) -> str:
    """The name of a file; of a long one the beginning and the end, where its number stands."""
    name = printable(Path(name).name)  # bytes that are no UTF-8 are nothing that can be drawn
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def _draw(inputs: "Tensor", maps: "PatchMaps", model: "ImageModel", png: Path, titles: list[str]) -> Path:
    from zoo.inspect.maps import attention_maps
    from zoo.inspect.preprocess import to_pixels

    prepared: Any = model.preprocess  # of images
    return attention_maps(to_pixels(inputs, prepared), maps, png, titles).absolute()
