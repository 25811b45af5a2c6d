"""From the config to the parts that train.py puts together, each refusal a sentence."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from omegaconf import OmegaConf

from zoo.attention.parts import build
from zoo.config import argument_types, check, instantiate, locate
from zoo.errors import ZooError, nearest
from zoo.files import write_text
from zoo.models.protocol import Model
from zoo.preprocess import Preprocess
from zoo.training.callbacks import Begin, ExactResume, SameConfig, Stopwatch
from zoo.training.folders import summary
from zoo.training.quiet import quiet
from zoo.training.ranks import rank
from zoo.training.sentences import CONF

log = logging.getLogger(__name__)
EXTRAS = ("wandb", "tensorboard")  # loggers that an extra of pyproject.toml brings


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse keys that nothing reads (CRITERIA.md, A6), a seed that is none, an accelerator that is not there."""
    ours = OmegaConf.load(CONF / "train.yaml")
    groups = {str(key) for entry in ours.defaults if not isinstance(entry, str) for key in entry if " " not in str(key)}
    top = groups | set(ours) - {"defaults", "hydra"}
    # Where no `_target_` has a signature to judge by.
    for path, node, known in (("", config, top), ("paths.", config["paths"], set(ours.paths))):
        for key in node.keys() - known:
            raise ZooError(f"{path}{key} is no key of this config; {nearest(key, known)}")
    for part in ("data", "model", "task", "trainer"):
        if not _is_target(config.get(part)):
            raise ZooError(f"{part}={config.get(part)} is nothing to build; choose one of {_options(part)}.")
    for group in ("callbacks", "logger"):
        _check_entries(group, config.get(group) or {})
    check(config)
    if isinstance(config["seed"], bool) or not isinstance(config["seed"], int) or config["seed"] < 0:
        raise ZooError(f"seed={config['seed']} is no whole number from 0 on; give one, as seed=0.")
    for key in ("train", "test", "compile"):
        if not isinstance(config[key], bool):
            raise ZooError(f"{key}={config[key]} is neither true nor false.")
    if not (config["train"] or config["test"]):
        raise ZooError("train=false test=false leaves nothing to do; set one of them to true.")
    if not (config["ckpt_path"] or config["init"]):
        if not config["train"]:
            raise ZooError("train=false has no weights to test; give ckpt_path=<run folder> or init=<weights>.")
        if config["finetune"] == "linear_probe":
            log.warning(
                "finetune=linear_probe keeps the backbone at random; init=<weights> gives it something to know."
            )
    _check_accelerator(config["trainer"])


def prepare_process(config: Mapping[str, Any]) -> None:
    """Hide others' irrelevant messages, let rank 0 alone tell what goes on, and seed what draws the initial weights."""
    quiet()
    if rank():
        logging.getLogger().setLevel(logging.WARNING)
    seed_everything(config["seed"], workers=True, verbose=False)


def ask_for_positions(data: Any, model: Mapping[str, Any]) -> None:
    """Let graph data compute what the model's position reads (Laplacian eigenvectors, ...) before they are set up."""
    node: Any = model.get("position")
    if not _is_target(node) or not hasattr(locate(node["_target_"]), "wants"):
        return
    wants = build(instantiate(node), dim=1, num_heads=1).wants
    if not hasattr(data, "use_positions"):
        raise ZooError(f"{node['_target_']} is a position of graphs, and {type(data).__name__} holds none.")
    data.use_positions(wants)


def fill(node: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what the data decide (number of classes, image size, width of features) in place of its nulls."""
    return {key: facts[key] if value is None and key in facts else value for key, value in node.items()}


def check_filled(part: str, node: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse a null where a value must stand: the data did not say, so they are of another kind than the model reads."""
    hints = argument_types(locate(node["_target_"]))
    missing = [key for key, value in node.items() if value is None and key in hints and type(None) not in hints[key]]
    if missing:
        raise ZooError(
            f"{part}.{', '.join(missing)} must be known, and these data say only {', '.join(facts)}: "
            f"{node['_target_'].rpartition('.')[2]} reads data of another kind. Take other data=, or set it."
        )


def label(model: Model, data: Any) -> None:
    """Let the model know how its inputs were prepared and what its outputs are called; both are saved with it."""
    prepared = getattr(data, "preprocess", None)
    model.preprocess, model.classes = Preprocess(**prepared) if prepared else None, tuple(data.classes)


def make_callbacks(
    config: Mapping[str, Any], fingerprint: str, folder: Path, data: Any
) -> tuple[list[Callback], Stopwatch]:
    """Every run's own callbacks, then those of conf/callbacks; and the stopwatch among them.

    Without validation data nothing can be chosen by them: checkpoints that would are left out, so the last weights are
    tested; stopping early is refused (CRITERIA.md, E9).
    """

    def begin() -> None:
        """All that can be refused has been accepted: from here on the folder is a run."""
        summary(folder).unlink(missing_ok=True)  # of a finished run that is trained on
        write_config(config, fingerprint, folder)

    stopwatch = Stopwatch(data.batch_size)
    own = [SameConfig(fingerprint), ExactResume(config["seed"]), Begin(begin), stopwatch]
    chosen = make_each("callbacks", config.get("callbacks"))
    if not data.val_size:
        chosen = [callback for callback in chosen if not _needs_validation(callback)]
    if not config["trainer"].get("enable_progress_bar", True):  # Lightning refuses a bar beside that, ours too
        chosen = [callback for callback in chosen if not isinstance(callback, ProgressBar)]
    return own + chosen, stopwatch


def _needs_validation(callback: Callback) -> bool:
    watched = str(getattr(callback, "monitor", ""))
    if not watched.startswith("val/"):
        return False
    if not isinstance(callback, Checkpoint):
        raise ZooError(f"{type(callback).__name__} watches {watched}, but there are no validation data; leave it out.")
    log.info(f"no validation data: nothing is chosen by {watched}, the last weights are tested")
    return True


def write_config(config: Mapping[str, Any], fingerprint: str, folder: Path) -> None:
    """config.yaml: resolved and plain, the model's nulls filled; its first line is the hash that a sweep looks at."""
    task = {key: value for key, value in config["task"].items() if key != "model"}  # a copy of config["model"]
    text = OmegaConf.to_yaml(OmegaConf.create({**config, "task": task}))
    write_text(folder / "config.yaml", f"# config_hash: {fingerprint}\n{text}")


def make_trainer(config: Mapping[str, Any], callbacks: list[Callback], logger: list[Any]) -> Any:
    """Lightning's Trainer, which sets some of its attributes where no type checker sees them.

    Without a checkpoint callback it would add one of its own.
    """
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    return instantiate(config, callbacks=callbacks, logger=logger or False, enable_checkpointing=saves)


def check_trained(trainer: Trainer) -> None:
    """Refuse to go on as if something had been learned where there was no step to take."""
    if trainer.global_step == 0:
        raise ZooError(
            "Nothing was trained: the trainer took no step (is trainer.max_epochs, max_steps or limit_train_batches 0?). "
            "To test weights as they are: train=false with ckpt_path=<run folder> or init=<weights>."
        )


def best(trainer: Trainer) -> Path | None:
    """The checkpoint chosen on validation data; None (the last weights) where nothing was chosen."""
    choosers = [c for c in trainer.checkpoint_callbacks if getattr(c, "monitor", None) is not None]
    path = getattr(choosers[0], "best_model_path", None) if choosers else None
    return Path(path) if path else None


def make_each(group: str, configs: Mapping[str, Any] | None) -> list[Any]:
    """Instantiate the named entries of a group, such as callbacks; an entry set to null is left out."""
    made = []
    for name, config in (configs or {}).items():
        if config is None:
            continue
        try:
            made.append(instantiate(config))
        except Exception as error:
            if not isinstance(error.__cause__ or error, ImportError):
                raise
            how = f'pip install -e ".[{name}]"' if name in EXTRAS else f"pip install {name}"
            raise ZooError(f"{group}={name} needs a package that is not installed; {how}") from error
    return made


def _check_entries(group: str, entries: Mapping[str, Any]) -> None:
    """`+callbacks.foo=1` is a value where a thing to build should stand: a misspelt name, or a setting too high up."""
    for name, entry in entries.items():
        if entry is not None and not _is_target(entry):
            given = f"{group}.{name}={entry}"
            others = [key for key, value in entries.items() if key != name and value is not None]
            raise ZooError(f"{given} has no _target_, so nothing can be built of it; {nearest(name, others)}")


def _is_target(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" in node


def _options(group: str) -> str:
    return ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def _check_accelerator(trainer: Mapping[str, Any]) -> None:
    wanted, devices = trainer.get("accelerator"), trainer.get("devices")
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    there["gpu"] = there["cuda"] or there["mps"]
    if wanted not in there:
        return
    if not there[wanted]:
        raise ZooError(f"trainer.accelerator={wanted}, but torch finds none here; use trainer.accelerator=auto or cpu.")
    if isinstance(devices, int) and devices > there[wanted]:
        raise ZooError(f"trainer.devices={devices}, but this machine has {there[wanted]}; use at most that many.")
