"""Say what is on images, in a graph or in a sentence, or what follows a table, and draw where the model looked.

    python -m zoo predict runs/<a run> cat.jpg             the five likeliest classes of one image
    python -m zoo predict runs/<a run> cat.jpg photos      several: files, and every image in a folder
    python -m zoo predict runs/<a run> test:17             number 17 of the images the run was tested on
    python -m zoo predict runs/<a run> test:17 --data photos    of a run on a folder of one's own: where that lies
    python -m zoo predict runs/<a run> graph.npz           nodes of a graph: x [N, F], edge_index [2, E]
    python -m zoo predict runs/<a run> graph.npz --node 5  and what node 5 looks at
    python -m zoo predict runs/<a run> cat.jpg --num-beams 5    of a captioner: what is on it in words; options as of generate
    python -m zoo predict runs/<a run> "a sentence"        its classes, or the five likeliest tokens after it
    python -m zoo predict runs/<a run> "a [MASK]" --layer 0 --head mean
    python -m zoo predict runs/<a run> "Who was it?" --context life.txt    the answer to a question about a text
    python -m zoo predict runs/<a run> my.csv              what follows the last row of a table in which a target was observed
    python -m zoo predict runs/<a run> photos --to said.csv    many inputs as a table (or .jsonl), no figure: images, graphs or
                                                           tables in folders, and texts that are lines of .txt or .jsonl files

The figure shows each image, and how much of each patch the last layer's heads, every layer and the rollout read; of a
graph a node, and how every head of the first layer weighs its edges; of a sentence how much each of its tokens reads of
each, head by head; of a table history, forecast and band, beside them the last layer's attention; forecast-my.csv holds all. An
.npz is what data=npz trains on; edge_attr and, for R-GAT, edge_type are read where the model reads
them, y and masks never.
"""

import argparse
from importlib import import_module
from typing import Any

from zoo.cli._figures import check_out, figures
from zoo.cli.predict import many
from zoo.errors import ZooError, answering

#: What a model reads -> the file here that knows what to do with it. Such a file has
#:   options(parser)                            command line options that are its alone; returns their names
#:   check(model, source, run)                  refuses what is no input of the model, before anything is told
#:   PREFIX                                     what its files are called: "attention" where it does not say
#:   name(source) -> (str, ...)                 what a figure is called after; the last part, or as many as tell it from others
#:   predict(model, source, options, png)       tells the answer, writes the figure; 1 where a part could not be read
READERS = {"image": "images", "graph": "graphs", "relational_graph": "graphs", "text": "texts", "series": "series"}
READERS |= {"captions": "captions"}

#: What a model's outputs are for -> the file of zoo.cli.predict.many, where it is not the one of what it reads.
MANY = {"span": "spans"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which inputs, how much of the answer."""
    parser.add_argument("run", metavar="RUN", help="a name of a zoo, a run's folder, or what else zoo.load reads")
    what = "an image, a folder of images, test:<number>, a graph.npz, a sentence, or a table.csv"
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=f"{what}; one or more")
    parser.add_argument("--top", type=int, help="how many classes or tokens of each input (default 5) or node (3)")
    parser.add_argument(
        "--out", metavar="PNG", help="the attention figure, or a folder (default attention-<input>.png)"
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="a .csv or .jsonl: answers to any number of inputs as a table; exit code 1 where some failed; in a .csv an "
        "apostrophe stands before text that begins with = + - @ or a tab, lest a spreadsheet runs it",
    )
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that RUN's config may name",
    )
    for reader in _readers():
        _module(reader).options(parser)


def run(options: argparse.Namespace) -> int:
    """Print the answers and write the figures, or write a table. Returns the exit code."""
    import zoo

    if options.top is not None and options.top < 1:
        raise ZooError(f"--top {options.top} shows nothing; give 1 or more.")
    check_out(options.inputs, options.out)
    if options.to is not None:
        many.check_options(options)
    model = zoo.load(options.run, trust=options.trust)
    if options.to is not None:
        return many.predict_many(model, MANY.get(model.targets) or reader_of(model), options)
    reader, code = _module(reader_of(model)), 0
    _refuse_options_of_others(reader, options)
    for source in options.inputs:  # all, before any is told
        reader.check(model, source, options.run)
    prefix = getattr(reader, "PREFIX", "attention")
    pngs = figures(prefix, [reader.name(source) for source in options.inputs], options.out)
    for source, png in zip(options.inputs, pngs, strict=True):
        with answering(f"{source} in the model of {options.run}"):
            code = max(code, reader.predict(model, source, options, png) or 0)
    return code


def reader_of(model: Any) -> str:
    """The file for what a model reads. Raises: ZooError for what no file or sentence holds."""
    found = [READERS[each] for each in model.reads if each in READERS]
    if not found:
        from zoo.spec import WORDS

        what = " or ".join(WORDS[each] for each in model.reads)
        if "pairs" in model.reads:
            raise ZooError(
                f"{type(model).__name__} says one sequence for another: python -m zoo translate does what predict does."
            )
        raise ZooError(
            f"{type(model).__name__} reads {what}, which no file holds here: predict is for images, graphs of one type of node "
            "and sentences."
        )
    return found[0]


def _readers() -> tuple[str, ...]:
    return tuple(dict.fromkeys(READERS.values()))


def _module(reader: str) -> Any:
    return import_module(f"zoo.cli.predict.{reader}")


def _refuse_options_of_others(reader: Any, options: argparse.Namespace) -> None:
    for other in map(_module, _readers()):
        for name in set(other.OPTIONS) - set(reader.OPTIONS):
            if (value := getattr(options, name)) is not None:
                raise ZooError(
                    f"--{name} {value} is for {other.WHAT}, and {options.inputs[0]} is not one; leave it out."
                )
