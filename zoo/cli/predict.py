"""Say what is on images, and draw where the model looked.

    python -m zoo predict runs/<a run> cat.jpg             the five likeliest classes of one image
    python -m zoo predict runs/<a run> photos --top 2      every image in a folder
    python -m zoo predict runs/<a run> test:17             number 17 of the images the run was tested on

The figure shows each image, and what every head of the last layer makes of it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli._table import console, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.models.protocol import Model

BATCH = 32
DRAWN = 12  # images of a folder that the figure shows


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which images, how much of the answer."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a model folder")
    parser.add_argument("input", metavar="INPUT", help="an image, a folder of images, or test:<number>")
    parser.add_argument("--top", type=int, default=5, help="how many classes of each image (default 5)")
    parser.add_argument("--out", metavar="PNG", help="the attention figure (default attention-<input>.png)")


def run(options: argparse.Namespace) -> None:
    """Print the classes, write the figure."""
    import torch

    import zoo
    from zoo.inspect.predictions import predict

    if options.top < 1:
        raise ZooError(f"--top {options.top} shows nothing; give 1 or more.")
    png = Path(options.out or f"attention-{Path(options.input).stem.replace(':', '-')}.png")
    if png.suffix.lower() != ".png":
        raise ZooError(f"--out {png} is not a .png file; name one.")
    model = zoo.load(options.run)
    names, inputs = zip(*images(model, options.run, options.input), strict=True)
    answers = [predict(model, torch.cat(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)]
    probabilities = torch.cat([answer.probabilities for answer in answers])
    classes = model.classes or tuple(map(str, range(probabilities.shape[1])))
    best = [_best(row, classes, options.top) for row in probabilities]
    if len(names) == 1:
        table(best[0], names[0])
    else:
        table([(name, *(f"{said}  {share}" for said, share in row)) for name, row in zip(names, best, strict=True)])
    maps = [answer.maps for answer in answers if answer.maps is not None]
    if not maps:
        console().print(f"{type(model).__name__} has no attention to draw.", markup=False)
        return
    titles = [f"{Path(name).name[:18]}\n{said} {share}" for name, ((said, share), *_) in zip(names, best, strict=True)]
    print(_draw(torch.cat(inputs[:DRAWN]), torch.cat(maps)[:DRAWN], model, png, titles[:DRAWN]))


def images(model: "Model", run: str, source: str) -> Iterator[tuple[str, "Tensor"]]:
    """Names, and inputs [1, C, H, W] of the model."""
    from datamodules.datasets import decode
    from zoo.inspect import to_input

    if source.startswith("test:"):
        yield _of_test_set(run, source)
        return
    path = Path(source)
    if not path.exists():
        raise ZooError(f"{source} does not exist; give an image, a folder of images, or test:<number>.")
    for file in _files(path) if path.is_dir() else [path]:
        yield str(file), to_input(decode(file, file), model.preprocess)


def _files(folder: Path) -> list[Path]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
    if not found:
        raise ZooError(f"{folder} holds no images ({', '.join(IMG_EXTENSIONS)}).")
    return found


def _of_test_set(run: str, source: str) -> tuple[str, "Tensor"]:
    """An image of the set that the run was tested on, numbered in the fixed order of its figures."""
    from omegaconf import OmegaConf

    from zoo.config import instantiate

    config, number = Path(run) / "config.yaml", source.removeprefix("test:")
    if not config.is_file():
        raise ZooError(f"{source} needs a run's folder with its config.yaml; {run} has none. Give an image instead.")
    if not number.isdigit():
        raise ZooError(f"{source} is not test:<number>; give a whole number from 0 on.")
    data = instantiate(OmegaConf.load(config).data)
    data.setup()
    if int(number) >= data.test_size:
        raise ZooError(f"{source} is beyond the test set; its {data.test_size} images are numbered from 0.")
    inputs, labels = data.test_images(int(number) + 1)
    return f"{source} ({data.classes[int(labels[-1])]})", inputs[-1:]


def _best(row: "Tensor", classes: tuple[str, ...], top: int) -> list[tuple[str, str]]:
    shares, places = row.topk(min(top, len(classes)))
    return [(classes[i], f"{100 * share:.1f} %") for share, i in zip(shares.tolist(), places.tolist(), strict=True)]


def _draw(inputs: "Tensor", maps: "Tensor", model: "Model", png: Path, titles: list[str]) -> Path:
    from zoo.inspect.maps import attention_maps
    from zoo.inspect.preprocess import to_pixels

    return attention_maps(to_pixels(inputs, model.preprocess), maps, png, titles).absolute()
