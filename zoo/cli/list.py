"""List what there is: trained models, models, data, scores, patterns, positions, kernels, heads, recipes, tasks and more.

    python -m zoo list                     everything
    python -m zoo list positions           one kind
    python -m zoo list models "vit*"       names that match; also: list rope
    python -m zoo list pretrained --task image_classification --licence MIT --max-parameters 1000000
    python -m zoo list pretrained --markdown docs/zoo.md      the table of that page, written from the cards

Each says of itself what it is: in the first line of its yaml, or of the docstring of what that builds.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from zoo import conf
from zoo.cli._pretrained import TITLE, lines, only, tell
from zoo.console import table
from zoo.errors import ZooError, nearest

#: A name, and what says the rest of its line: only of those that are shown.
Rows = Iterator[tuple[str, Callable[[], tuple[str, ...]]]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """One or two words: a kind, a pattern for names, or both."""
    words = f"a kind ({', '.join(KINDS)}), a name, or both"
    parser.add_argument("words", nargs="*", metavar="WORD", help=words)
    only = parser.add_argument_group("of trained models")
    only.add_argument("--task", help="those of a task")
    only.add_argument("--modality", help="those of images, graphs, text, series: image, graph, ...")
    only.add_argument("--licence", help="those whose weights have this licence")
    only.add_argument("--max-parameters", type=int, metavar="N", help="those of at most so many")
    only.add_argument(
        "--markdown", metavar="FILE.md", help="write the table between the marks of a page, with what cards say"
    )
    parser.set_defaults(rest="words")


def run(options: argparse.Namespace) -> None:
    """Print a table a kind."""
    words = list(options.words)
    kind = _kind(words[0]) if words else None
    kinds = [kind] if kind else list(KINDS)
    words = words[1:] if kind else words
    if len(words) > 1:
        raise ZooError(f"{' '.join(options.words)!r} is more than a kind and a name; quote a pattern: 'vit*'.")
    wanted = words[0] if words else "*"
    chosen = [f"--{key.replace('_', '-')}" for key in (*only(options), "markdown") if getattr(options, key) is not None]
    if kind == "pretrained":
        tell(wanted, options)
        return
    if chosen:
        raise ZooError(f"{chosen[0]} is for trained models: python -m zoo list pretrained {chosen[0]} ...")
    every = {kind: list(KINDS[kind][1]()) for kind in kinds}
    found = {kind: [row for row in rows if fnmatchcase(row[0], wanted)] for kind, rows in every.items()}
    if not any(found.values()):
        known = {name for rows in every.values() for name, _ in rows} | set(KINDS if len(kinds) > 1 else ())
        guess = nearest(wanted, known).partition("There are: ")[0]  # they are too many for an error
        raise ZooError(f"{wanted!r} is in none of {', '.join(kinds)}; {guess}python -m zoo list shows all.")
    for kind, rows in found.items():
        if rows:
            table([(name, *told()) for name, told in rows], f"{kind}   {KINDS[kind][0]}")


def _kind(word: str) -> str | None:
    return next((kind for kind in KINDS if word in (kind, kind.removesuffix("s"))), None)


def _models() -> Rows:
    yield from _group("model")()
    from zoo.models.registry import CONFIGS

    for name, config in sorted(CONFIGS.items(), key=lambda item: _natural(item[0])):
        yield name, partial(_sizes, config)


def _sizes(config: Mapping[str, Any]) -> tuple[str]:
    return (_sized(config),)


def _sized(config: Mapping[str, Any]) -> str:
    heads, depth = config["num_heads"], config["depth"]
    if "vocab_size" in config:
        grouped = f" on {config['num_kv_heads']} of keys" if config.get("num_kv_heads", heads) != heads else ""
        tokens = f"{config['vocab_size']:,} tokens, context {config['context']:,}"
        return f"{config['dim']} wide, {depth} blocks, {heads} heads{grouped}, {tokens}"
    if "head_dim" in config and "img_size" not in config:
        sizes = f"{depth} layers, {heads} heads of {config['head_dim']}"
        return f"{sizes}, {config['in_dim']} features a node, {config['num_classes']} classes"
    whole = f"{config['dim']} wide, {depth} blocks, {heads} heads"
    if "img_size" not in config:
        return whole  # of a forecaster; the data decide the rest
    return f"{whole}, patches of {config['patch_size']} on {config['img_size']}x{config['img_size']}"


def _natural(name: str) -> tuple:
    """vit_..._8 before vit_..._16."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def _group(group: str) -> Callable[[], Rows]:
    """The options of a config group: the yaml's own comment, else the first line of what it builds."""

    def rows() -> Rows:
        for name, path in conf.options(group).items():
            yield name, partial(_told, group, name, path)

    return rows


def _data() -> Rows:
    """Each set, and its licence."""
    for name, path in conf.options("data").items():
        yield name, partial(_provenance, path)


def _provenance(path: Path) -> tuple[str, str]:
    return conf.licence(path), conf.comment(path)


def _told(group: str, name: str, path: Path) -> tuple[str]:
    if comment := conf.comment(path):
        return (comment,)
    from zoo.checked.texts import read_yaml
    from zoo.inspect.words import summary

    config = read_yaml(path)
    if "defaults" in config:  # which Hydra alone can join
        config = conf.compose(group, name)
    return (summary(config) if config else "",)


def _pretrained() -> Rows:
    for name, line in lines():
        yield name, partial(tuple, [line])


def _kernels() -> Rows:
    from zoo.attention import KERNELS
    from zoo.inspect.words import first_line

    every = ", ".join(kernel.name for kernel in KERNELS)
    yield "auto", partial(tuple, [f"The first of {every} that can, and is not slower here."])
    for kernel in KERNELS:
        yield kernel.name, partial(tuple, [first_line(type(kernel))])


KINDS: dict[str, tuple[str, Callable[[], Rows]]] = {
    "pretrained": (TITLE, _pretrained),
    "models": ("python train.py model=..., zoo.create_model(...)", _models),
    "data": ("python train.py data=...", _data),
    "scores": ("python train.py score=...", _group("score")),
    "patterns": ("python train.py pattern=...", _group("pattern")),
    "positions": ("python train.py position=...", _group("position")),
    "kernels": ("python train.py kernel=...", _kernels),
    "heads": ("python train.py head=... (of forecasters)", _group("head")),
    "tokenizers": ("python train.py tokenizer=... (of text)", _group("tokenizer")),
    "recipes": ("python train.py recipe=...", _group("recipe")),
    "tasks": ("python train.py task=...", _group("task")),
    "callbacks": ("python train.py callbacks=...", _group("callbacks")),
    "loggers": ("python train.py logger=...", _group("logger")),
    "trainers": ("python train.py trainer=...", _group("trainer")),
    "experiments": ("python train.py experiment=...", _group("experiment")),
}
