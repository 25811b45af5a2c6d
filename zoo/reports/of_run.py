"""What a finished run was tested on, as its folder or its model folder alone tells; of a forecaster the model and the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, naming


def told(run: str | Path) -> tuple[dict[str, Any], str]:
    """(what a run says of its data, its task and its seed, what errors call the file that says so).

    A run's config.yaml; where there is a model folder alone, its card.json, which never says where files of somebody's own lie.

    Args:
        run: a run's folder or its config.yaml, a model folder, or the name or address of one.

    Raises: ZooError where neither is there.
    """
    from zoo import catalog
    from zoo.catalog import card
    from zoo.checked.texts import read_yaml
    from zoo.pretrained import sources

    config = Path(run) if Path(run).name == "config.yaml" else Path(run) / "config.yaml"
    if config.is_file():
        content = read_yaml(config)
        return content if isinstance(content, dict) else {}, repr(str(config))
    if catalog.is_name(str(run)) or catalog.is_address(str(run)) or Path(run).exists():
        folder = getattr(sources.find(run), "where", None)
        known = card.read(folder) if folder is not None else None
        if folder is not None and known is not None and (data := (known["data"] or {}).get("config")):
            return {"data": data, "task": known["task_config"], "seed": known["seed"]}, repr(str(folder / "card.json"))
    raise ZooError(
        f"{str(run)!r} has no config.yaml, which says on what data it was tested, nor a card.json that does; give a run's "
        "folder."
    )


def of_run(run: str | Path, table: str | None = None, trust: Sequence[str] = ()) -> tuple[Any, Any, dict[str, Any]]:
    """(model, its data set up, the run's config).

    The run's config.yaml, or its model folder's card, says which data, of those that are declared for that
    (docs/criteria.md, A8); where files are looked for, and where something may be written, the reader says (ZOO_DATA,
    ZOO_CACHE).

    Args:
        run: see `told`.
        table: a file in place of the one that the config names.
        trust: packages that the config may name besides.

    Raises: ZooError for what is no run, a model that is no forecaster, or data that is no series.
    """
    import zoo
    from zoo import conf, construct, packages
    from zoo.checked import model as checked

    content, config = told(run)
    model: Any = zoo.load(run, trust=trust)
    if "series" not in getattr(model, "reads", ()):
        raise ZooError(
            f"{run} is a {type(model).__name__}, which forecasts no series; give a run of model=patchtst or the like."
        )
    if not getattr(model, "forecasts", False):
        raise ZooError(f"{run} holds a {type(model).__name__} that forecasts nothing; go on from it with init=<run>.")
    where = f"data in {config}"
    tree = checked.resolve(content.get("data"), where, None, "run", packages.checked(trust))
    if getattr(tree.target, "modality", None) != "series":
        raise ZooError(f"{where} is {tree.name}, which holds no series.")
    mine: dict[str, Any] = conf.places()
    own = tuple(getattr(tree.target, "places", ()))
    if table is not None:
        if not own:
            raise ZooError(f"--data {table} is for tables of your own; {where} is {tree.name}. Leave it out.")
        mine[own[0]] = table
    elif own and not tree.given.get(own[0]):
        raise ZooError(f"{run} has no config.yaml, and a card does not say where a table lies; give --data FILE.")
    with naming(where):
        data = construct.make(tree, **mine)
        data.setup()
    if data.spec.sizes() != model.preprocess.sizes():
        raise ZooError(f"{where} has {data.spec.sizes()}, and the model was trained on {model.preprocess.sizes()}.")
    return model, data, content


#: What of a run's trainer is taken for another training; where it computes, and what it writes, the reader says.
TAKEN = (
    "max_epochs", "min_epochs", "max_steps", "gradient_clip_val", "gradient_clip_algorithm", "precision",
    "accumulate_grad_batches", "limit_train_batches", "limit_val_batches", "deterministic",
)  # fmt: skip


def settings_of(
    run: str | Path, content: dict[str, Any], trust: Sequence[str] = ()
) -> tuple[dict[str, Any], int | None]:
    """(a plain config to train a run's model from scratch, without callbacks, loggers and files; the patience of its early
    stopping, None without).

    Args:
        run: its folder.
        content: of its config.yaml, of which model, task, seed and trainer are taken, all checked as a file's (A8).
        trust: packages that it may name besides.
    Raises: ZooError for a config that is not of a run of `zoo.tasks.forecasting.Forecasting`.
    """
    from zoo import conf, construct, declared, packages
    from zoo.checked import model as checked
    from zoo.config import plain
    from zoo.tasks.forecasting import Forecasting
    from zoo.training import folders

    own, where = packages.checked(trust), repr(str(Path(run) / "config.yaml"))
    task, trainer = content.get("task"), content.get("trainer")
    name = f"{Forecasting.__module__}.{Forecasting.__qualname__}"
    if not isinstance(task, dict) or task.get("_target_") != name or not isinstance(trainer, dict):
        raise ZooError(f"{where} is not of a run of task=forecasting, which alone is trained again.")
    checked.resolve(content.get("model"), f"model in {where}", trust=own)
    rest = {key: value for key, value in task.items() if key != "_target_"}
    with naming(f"task in {where}"):
        construct.check(construct.resolve(rest, lambda word, at: declared.find(word, "train", at, own)))
    folders.register()
    made = plain(conf.compose_train(["model=patchtst", "callbacks=none", "~logger", "paths.run=."]))
    kept = {key: trainer[key] for key in TAKEN if isinstance(trainer.get(key), int | float | str)}
    made["trainer"] = {**made["trainer"], **kept, "enable_progress_bar": False}
    made |= {"model": content["model"], "task": task, "seed": content.get("seed", 0), "trust": list(trust)}
    callbacks = content.get("callbacks")
    stopping = [each for each in callbacks.values() if isinstance(each, dict)] if isinstance(callbacks, dict) else []
    patience = next((each["patience"] for each in stopping if type(each.get("patience")) is int), None)
    return made, patience
