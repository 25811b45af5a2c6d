"""Describe a trained model by its card, a model or a run.

    python -m zoo info gat.cora                      the card of a trained model: figure, data, licence, use, limits
    python -m zoo info https://host/zoo/gat.mine     the same of one that lies elsewhere; its weights are not fetched
    python -m zoo info vit_tiny_patch16_224          sizes, parameters, FLOPs, score x pattern x position
    python -m zoo info vit model.depth=6             a model of conf/model, at the size of its data
    python -m zoo info gat data=cora                 the same at the size of others
    python -m zoo info runs/<a run>                  what came out, how it was made, what lies there

Sizes are counted on shapes alone: no weights are made, so the largest model is there at once.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import catalog, conf
from zoo.catalog.files import CARD
from zoo.cli._card import size, tell
from zoo.cli._model import describe_model
from zoo.console import table
from zoo.errors import ZooError, answering, nearest
from zoo.training.summary import command, use

LISTED = 100  # files of a run
#: What of a run's config decides most, in words.
MAIN = {
    "data": "data._target_", "loader": "data.loader", "batch size": "data.batch_size",
    "epochs": "trainer.max_epochs", "init": "init",
    "optimizer": "task.optimizer._target_", "learning rate": "task.optimizer.lr", "seed": "seed",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """A name, and what train.py takes beside it."""
    parser.add_argument(
        "name", metavar="NAME_OR_RUN", help="a trained model, a model (python -m zoo list), or a folder"
    )
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes, as train.py takes them")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that the run's config may name",
    )


def run(options: argparse.Namespace) -> None:
    """Print what is known."""
    if catalog.is_address(options.name) or catalog.knows(options.name):
        if options.changes:
            raise ZooError(f"{options.changes[0]!r} changes nothing here: {options.name} is trained already.")
        if (card := catalog.card_of(options.name)) is not None:
            tell(card, options.name)
        else:
            describe_weights(options.name, options.trust)
        return
    from zoo.models.registry import CONFIGS

    name, changes, folder = options.name.removeprefix("model="), options.changes, Path(options.name)
    made_by_train = conf.options("model")
    if folder.is_dir():
        if changes:
            raise ZooError(f"{changes[0]!r} changes nothing here: {name} is a folder.")
        with answering(str(folder)):
            describe_run(folder, options.trust)
    elif name in made_by_train or (
        name in CONFIGS and (changes or None in CONFIGS[name].values())
    ):  # null: the data decides
        describe_model(name, composed(name, changes))
    elif name in CONFIGS:
        describe_model(name, CONFIGS[name])
    elif folder.is_file():
        with answering(str(folder)):
            describe_weights(options.name, options.trust)
    else:
        guess = nearest(name, [*CONFIGS, *made_by_train, *catalog.list_pretrained()]).partition("There are: ")[0]
        shown = "python -m zoo list models shows all models, python -m zoo list pretrained the trained ones."
        raise ZooError(f"{name!r} is neither a model nor a folder; {guess}{shown}")


def composed(name: str, changes: Sequence[str]) -> dict[str, Any]:
    """The config of a model of conf/model, with what its data decides filled in."""
    from zoo.config import check, instantiate, plain
    from zoo.models.fit import check_reads
    from zoo.tasks.fit import fit

    config = conf.compose_train([f"model={name}", *changes])
    chosen = {"model": plain(config.model), "task": plain(config.task)}
    check(chosen)
    data = instantiate(config.data)
    check_reads(chosen["model"], data.modalities, type(data).__name__)
    data.setup()
    return fit(chosen, data.spec)["model"]


def describe_weights(source: str, trust: Sequence[str] = ()) -> None:
    """The card of what is neither a name nor a run, where it has one, and the sizes of its model.

    Raises: ZooError for what holds no model.
    """
    from zoo.pretrained.sources import described

    model, file = described(source)
    if (card := catalog.card_of(source)) is None:
        table([("no card.json", "nothing is told about it, and its files are not verified")], source)
    else:
        tell(card, source)
    describe_model(source, model, file=file, trust=trust)


def describe_run(folder: Path, trust: Sequence[str] = ()) -> None:
    """Metrics, how it was made, the model, the files, and what to do with it."""
    from zoo.checked.texts import read_json, read_yaml
    from zoo.declared import strangers
    from zoo.training.identity import flatten

    summary, whole, overrides = folder / "summary.json", folder / "config.yaml", folder / ".hydra" / "overrides.yaml"
    if not whole.is_file():
        describe_weights(str(folder), trust)
        return
    config = read_yaml(whole)
    if not isinstance(config, dict):
        raise ZooError(f"{str(whole)!r} is not a config of a run: it holds a {type(config).__name__}.")
    if summary.is_file():
        known = read_json(summary)
        metrics = known.get("metrics") if isinstance(known, dict) else None
        if not isinstance(metrics, dict) or not all(isinstance(value, int | float) for value in metrics.values()):
            raise ZooError(f"{str(summary)!r} is not a summary of a run: it has no metrics that are numbers.")
        rows = [(name, f"{value:.6g}") for name, value in sorted(metrics.items())]
        simple = {name: value for name, value in known.items() if isinstance(value, int | float | str)}
        table([*rows, *simple.items()], f"{folder}   finished")
    else:
        table([("no summary.json", "it is still training, or was stopped")], f"{folder}   not finished")
    leaves = flatten(config)
    rows = [(word, leaves[key]) for word, key in MAIN.items() if leaves.get(key) is not None]
    if overrides.is_file():
        rows.insert(0, ("command", command(_words(overrides))))
    table(rows, "made by")
    if columns := _columns(folder):
        table(columns, "columns of a table")
    model = describe_model("model", config.get("model"), file=whole, trust=trust)
    unknown = (folder / "model").is_dir() and not (folder / "model" / CARD).is_file()
    table([*_files(folder), *[("no card.json", "the model's files are not verified")] * unknown], "files")
    ways, strange, here = [], strangers(_naming(config)), shlex.quote(str(folder))
    own = f", trust={strange}" if strange else ""
    if (folder / "model").is_dir():
        trusted = "".join(f" --trust {package}" for package in strange)
        asked = use(model, here)
        ways = [f"{asked}{trusted}"] * bool(asked) + [f'zoo.load("{folder}"{own})']
    if not summary.is_file():
        words = [word for word in _words(overrides) if not word.startswith("ckpt_path=")]
        ways.append(command([*words, f"ckpt_path={conf.quoted(folder)}"]))
    table([(way,) for way in ways], "use it")


def _naming(config: Any) -> list[Any]:
    """What of a run's config names classes that its model folder names too."""
    data, kind = config.get("data"), config.get("finetune")
    tokenizer = data.get("tokenizer") if isinstance(data, dict) else None
    return [config.get("model"), tokenizer, {"_target_": kind} if "." in str(kind) else None]


def _columns(folder: Path) -> list[tuple[str, object]]:
    """What the model of a run reads of a table; nothing of other models, and of unfinished runs."""
    from zoo.pretrained.folder import CONFIG, describe

    if not (folder / "model" / CONFIG).is_file():
        return []
    told = describe(folder / "model")["preprocess"]
    return list(told.describe().items()) if told is not None else []


def _words(overrides: Path) -> list[str]:
    from zoo.checked.texts import read_yaml

    words = read_yaml(overrides) if overrides.is_file() else []
    return list(map(str, words)) if isinstance(words, list) else []


def _files(folder: Path) -> list[tuple[str, str]]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts)
    rows = [(str(path.relative_to(folder)), size(path.stat().st_size)) for path in found[:LISTED]]
    return rows + [(f"and {len(found) - LISTED:,} more", "")] * (len(found) > LISTED)
