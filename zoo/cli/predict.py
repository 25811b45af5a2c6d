"""Say what is on images or in a graph, and draw where the model looked.

    python -m zoo predict runs/<a run> cat.jpg             the five likeliest classes of one image
    python -m zoo predict runs/<a run> cat.jpg photos      several: files, and every image in a folder
    python -m zoo predict runs/<a run> test:17             number 17 of the images the run was tested on
    python -m zoo predict runs/<a run> graph.npz           nodes of a graph: x [N, F], edge_index [2, E]
    python -m zoo predict runs/<a run> graph.npz --node 5  and what node 5 looks at

The figure shows each image, and how much of each patch the last layer's heads, every layer and the rollout read; of a
graph a node, and how every head of the first layer weighs its edges. An .npz is what data=npz trains on; edge_attr and,
for R-GAT, edge_type are read where the model reads them, y and masks never.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.console import console, table
from zoo.errors import ZooError, answering, naming

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.inspect.maps import PatchMaps
    from zoo.models import ImageModel, Model

BATCH = 32
PATCHES = 4096  # of an image: the attention of each layer is their square
DRAWN = 12  # images of a folder that the figure shows


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which images or graph, how much of the answer."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a model folder")
    what = "an image, a folder of images, test:<number>, or a graph.npz"
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=f"{what}; one or more")
    parser.add_argument("--top", type=int, help="how many classes of each image or graph (default 5) or node (3)")
    parser.add_argument("--node", type=int, help="the node of a graph that is drawn (default: one worth looking at)")
    parser.add_argument(
        "--out", metavar="PNG", help="the attention figure, or a folder (default attention-<input>.png)"
    )
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that RUN's config may name",
    )


def run(options: argparse.Namespace) -> None:
    """Print the classes, write the figure."""
    import zoo

    if options.top is not None and options.top < 1:
        raise ZooError(f"--top {options.top} shows nothing; give 1 or more.")
    figures = _figures(options.inputs, options.out)
    model = zoo.load(options.run, trust=options.trust)
    of_graphs = [_is_graph(model, source, options.node) for source in options.inputs]  # all, before any is told
    for source, png, of_graph in zip(options.inputs, figures, of_graphs, strict=True):
        with answering(f"{source} in the model of {options.run}"):
            if of_graph:
                from zoo.cli._predict_graph import predict_graph

                predict_graph(model, options.run, Path(source), options.node, options.top, png)
            else:
                predict_images(model, options.run, source, options.top or 5, png, options.trust)


def predict_images(model: Any, run: str, source: str, top: int, png: Path, trust: Sequence[str] = ()) -> None:
    """A table for one image, a line for each of several; a row of maps for each of the first."""
    import torch

    from zoo.cli._model import check_answer
    from zoo.inspect.predictions import predict, told

    patches = math.prod(model.grid or ())
    if patches > PATCHES:
        raise ZooError(f"{run} reads {patches:,} patches, too many to draw who looks where (at most {PATCHES:,}).")
    names, inputs = zip(*images(model, run, source, trust), strict=True)
    answers = [predict(model, torch.cat(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)]
    outputs = torch.cat([answer.outputs for answer in answers])
    check_answer(outputs, model, run)
    best = told(outputs, model, top)
    if len(names) == 1:
        table(best[0], names[0])
    else:
        table([(name, *(f"{said}  {share}" for said, share in row)) for name, row in zip(names, best, strict=True)])
    maps = answers[0].maps  # a batch holds all that are drawn
    if maps is None:
        console().print(f"{type(model).__name__} has no attention to draw.", markup=False)
        return
    titles = [f"{_shortened(name)}\n{said} {share}" for name, ((said, share), *_) in zip(names, best, strict=True)]
    print(_draw(torch.cat(inputs[:DRAWN]), maps.first(DRAWN), model, png, titles[:DRAWN]))


def images(model: "Model", run: str, source: str, trust: Sequence[str] = ()) -> Iterator[tuple[str, "Tensor"]]:
    """Names, and inputs [1, C, H, W] of the model."""
    from zoo.inspect import to_input

    if source.startswith("test:"):
        yield _of_test_set(model, run, source, trust)
        return
    path = Path(source)
    if not path.exists():
        raise ZooError(f"{source} does not exist; give an image, a folder of images, or test:<number>.")
    for file in _files(path) if path.is_dir() else [path]:
        yield str(file), to_input(file, model.preprocess)


def _figures(sources: Sequence[str], wanted: str | None) -> list[Path]:
    """Where each input's figure goes: the file that was named, or a file of its own in the folder that was."""
    out = Path(wanted or ".")
    if out.is_dir() or not out.suffix:
        return [out / f"attention-{name}.png" for name in _names(sources)]
    if out.suffix.lower() != ".png":
        raise ZooError(f"--out {out} is not a .png file; name one, or a folder.")
    if len(sources) > 1:
        raise ZooError(f"--out {out} is one file for {len(sources)} inputs; name a folder.")
    return [out]


def _names(sources: Sequence[str]) -> list[str]:
    """A name for each input, of as many of its folders as tell it from the others: cat, or a-cat and b-cat."""
    names = []
    for source in sources:
        parts = Path(source).with_suffix("").parts
        others = [Path(other).with_suffix("").parts for other in sources if other != source]
        n = next((n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)), 1)
        names.append("-".join(parts[-n:]).replace(":", "-"))
    return [f"{name}-{names[:i].count(name) + 1}" if name in names[:i] else name for i, name in enumerate(names)]


def _is_graph(model: "Model", source: str, node: int | None) -> bool:
    """Whether a graph is given to a model of graphs; False for images to one of images; anything else is refused."""
    from zoo.spec import WORDS
    from zoo.training.summary import INPUTS, takes

    kind, given = type(model).__name__, takes(model)
    of_graph = source.lower().endswith(".npz")
    if given is None:
        what = " or ".join(WORDS[each] for each in model.reads)
        raise ZooError(
            f"{kind} reads {what}, which no file holds here: predict is for images and graphs of one type of node."
        )
    if of_graph and given == INPUTS["image"]:
        raise ZooError(f"{kind} takes no graph, and {source} is one; give an image, or a run of a model of graphs.")
    if not of_graph and given != INPUTS["image"]:
        raise ZooError(f"{kind} takes a graph, not {source}; give an .npz with x [N, F] and edge_index [2, E].")
    if not of_graph and node is not None:
        raise ZooError(f"--node {node} is for a graph, and {source} is not one; leave it out.")
    if of_graph and not Path(source).is_file():
        raise ZooError(f"{source} does not exist; give an .npz with x [N, F] and edge_index [2, E].")
    return of_graph


def _files(folder: Path) -> list[Path]:
    from zoo.preprocess import EXTENSIONS, image_files

    found = image_files(folder)
    if not found:
        raise ZooError(f"{folder} holds no images ({', '.join(EXTENSIONS)}).")
    return found


def _of_test_set(model: "Model", run: str, source: str, trust: Sequence[str]) -> tuple[str, "Tensor"]:
    """An image of the set that the run was tested on, numbered in the fixed order of its figures."""
    number = source.removeprefix("test:")
    if not (number.isascii() and number.isdigit()):
        raise ZooError(f"{source} is not test:<number>; give a whole number from 0 on.")
    if not (Path(run) / "config.yaml").is_file():
        raise ZooError(f"{source} needs a run's folder with its config.yaml; {run} has none. Give an image instead.")
    data = test_data(model, Path(run) / "config.yaml", trust)
    if int(number) >= data.test_size:
        raise ZooError(f"{source} is beyond the test set; its {data.test_size} images are numbered from 0.")
    inputs, labels = data.test_images(int(number) + 1)
    return f"{source} ({data.classes[int(labels[-1])]})", inputs[-1:]


def test_data(model: Any, config: Path, trust: Sequence[str] = ()) -> Any:
    """The images that a run was tested on, of the data module in its config.yaml, prepared as the model's.

    The file says which set; where files are looked for, and where something may be written, the reader says (ZOO_DATA,
    ZOO_CACHE), and what the model was fed with its own `preprocess`.

    Raises: ZooError for a config that is none, or names what is not declared as data (docs/criteria.md, A8).
    """
    from zoo import conf, construct, packages
    from zoo.checked import model as checked
    from zoo.checked.texts import read_yaml

    content, where = read_yaml(config), f"data in {str(config)!r}"
    tree = checked.resolve(
        content.get("data") if isinstance(content, dict) else None, where, None, "run", packages.checked(trust)
    )
    if getattr(tree.target, "modality", None) != "image":  # a file may name what is no data at all
        raise ZooError(f"{where} is {tree.name}, which holds no images; give an image of your own.")
    mine: dict[str, Any] = {**conf.places(), "augment": None}
    prepared = model.preprocess
    if prepared is not None:
        mine |= {"img_size": None, "in_chans": None, "normalise": None}
    with naming(where):
        data = construct.make(tree, **mine)
        data.use_preprocess(asdict(prepared) if prepared else {})
        data.setup()
    return data


def _shortened(name: str, most: int = 18) -> str:
    """The name of a file; of a long one the beginning and the end, where its number stands."""
    name = Path(name).name
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def _draw(inputs: "Tensor", maps: "PatchMaps", model: "ImageModel", png: Path, titles: list[str]) -> Path:
    from zoo.inspect.maps import attention_maps
    from zoo.inspect.preprocess import to_pixels

    return attention_maps(to_pixels(inputs, model.preprocess), maps, png, titles).absolute()
