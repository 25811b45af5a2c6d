"""Over-smoothing: what depth does to a graph network, with and without what is said to help.

Each variant is trained at each depth over some seeds, as train.py does. Measured is, in eval mode, with the weights of
the epoch that was best on validation data (zoo.reports.training; the test rows are looked at once, after that):

    accuracy      of the test rows; val_accuracy and train_accuracy beside it
    MAD, MADGap   mean average cosine distance, remote less neighbouring pairs: Chen et al. 2020
    energy        Dirichlet energy: Cai and Wang 2020
    MAD of logits the same of what the last layer gives

where nothing else is said on nodes as the last hidden layer leaves them: the input of the layer that classifies (the last
layer; the head, where a model has one). zoo.reports.smoothness has the equations.

Nodes that are alike are not yet over-smoothed. With the paper's dropout of 0.6 in every one of 16 layers nothing is learned
at all, and an untrained network's nodes are alike too: train_accuracy tells this under-fitting from over-smoothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import write_text
from zoo.reports.words import Settings, read

Run = dict[str, Any]
#: name -> settings of the model in place of its own (a dot leads into a part); a+b has both. "plain" is the model as the
#: command line says. "initial_residual+identity_mapping" is GCNII (Chen et al. 2020) with attention.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "residual": {"skip": {"_target_": "zoo.layers.Residual", "_partial_": True}},
    "initial_residual": {"skip": {"_target_": "zoo.layers.InitialResidual", "_partial_": True, "alpha": 0.5}},
    "identity_mapping": {
        "attention.projection": {
            "_target_": "zoo.layers.IdentityMappedQKV",
            "_partial_": True,
            "beta": 0.1,
            "bias": False,
        }
    },
    "pairnorm": {"norm": {"_target_": "zoo.layers.pair_norm", "_partial_": True}},
    "dropedge": {"drop_edge": 0.5},
    "no_attn_dropout": {"attn_dropout": 0.0},
}


def run(words: Sequence[str]) -> None:
    """Train what is not yet in the folder, print the table, write results.json, table.csv and oversmoothing.png."""
    from zoo.console import console
    from zoo.reports import table
    from zoo.reports.curves import draw

    settings = read(words, VARIANTS)
    folder = _folder(settings)
    runs = _known(folder, settings)
    for number, run in enumerate(study(settings, folder, runs), 1):
        runs.append(run)
        _write(folder, settings, runs)
        where = f"{run['variant']}, {run['depth']} layers, seed {run['seed']}"
        console().print(f"{number:4d}  {where}: accuracy {run['accuracy']:.3f}, MAD {run['mad']:.4f}", style="dim")
    rows = table.over_seeds(runs)
    write_text(folder / "table.csv", table.as_csv(rows))
    draw(rows, folder / "oversmoothing.png", " ".join(settings.changes))
    table.show(rows)
    console().print(f"\nresults.json, table.csv and oversmoothing.png are in {folder}", soft_wrap=True)


def study(settings: Settings, folder: Path, known: Sequence[Run]) -> Iterator[Run]:
    """One dict a training, seed by seed, so that what there is of an unfinished study covers all variants and depths."""
    from zoo.reports import training
    from zoo.reports.smoothness import cosine_distances, mad, orders, smoothness

    data = order = None
    done = {(run["variant"], run["depth"], run["seed"]) for run in known}
    wanted = [(v, d, seed) for seed in settings.seeds for d in settings.depths for v in settings.variants]
    for variant, depth, seed in wanted:
        if (variant, depth, seed) in done:
            continue
        config = compose(settings, variant, depth, seed, folder)
        data = training.load(config) if data is None else data
        task, figures = training.fit(config, data, settings.patience)
        batch = data.example()
        order = orders(batch.edge_index, batch.num_nodes) if order is None else order
        nodes, logits = training.nodes_of(task.model, batch)
        rows = batch.rows["train"]
        yield {
            "variant": variant, "depth": depth, "seed": seed, **figures,
            "train_accuracy": float((logits[rows].argmax(-1) == batch.labels[rows]).float().mean()),
            **smoothness(nodes, batch.edge_index, order)._asdict(),
            "mad_of_logits": mad(cosine_distances(logits)),
        }  # fmt: skip


def compose(settings: Settings, variant: str, depth: int, seed: int, folder: Path) -> dict[str, Any]:
    """The config of one training, checked as train.py checks it."""
    from zoo import conf
    from zoo.config import plain
    from zoo.training import folders
    from zoo.training.checks import check_config

    folders.register()
    own = [
        f"model.depth={depth}",
        f"seed={seed}",
        f"trainer.max_epochs={settings.epochs}",
        f"paths.run={conf.quoted(folder)}",
    ]
    config = plain(conf.compose_train([*settings.changes, *own, "callbacks=none", "~logger"]))
    for name in variant.split("+"):
        for path, value in VARIANTS[name].items():
            *inside, key = path.split(".")
            part = config["model"]
            for each in inside:
                part = part[each]
            part[key] = value
    check_config(config)
    return config


def _folder(settings: Settings) -> Path:
    """Where the results go: out=, or a new one."""
    from zoo.training.folders import stamp

    names = {"model": "", "data": ""} | dict(each.split("=", 1) for each in settings.changes)
    name = "_".join(filter(None, [stamp(), "oversmoothing", names["model"], names["data"]]))
    return Path(settings.out or Path("runs", "reports", name)).absolute()


def _known(folder: Path, settings: Settings) -> list[Run]:
    """What an interrupted study of the same settings left in the folder; depths, seeds and variants may be others."""
    file = folder / "results.json"
    if not file.exists():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    for name, value in _same(settings).items():
        if found["settings"].get(name) != value:
            raise ZooError(
                f"{folder} holds a study with {name}: {found['settings'].get(name)}, not {value}; choose another out=."
            )
    return found["runs"]


def _write(folder: Path, settings: Settings, runs: Sequence[Run]) -> None:
    content = {"settings": _same(settings), "runs": runs}
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")


def _same(settings: Settings) -> dict[str, Any]:
    """What two studies must agree in to be one."""
    chosen = {"epochs": settings.epochs, "patience": settings.patience, "changes": list(settings.changes)}
    return {**chosen, "definitions": VARIANTS}
