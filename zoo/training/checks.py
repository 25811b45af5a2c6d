"""What is refused before anything is built: keys that nothing reads, values that are none, an accelerator that is not there."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import OmegaConf

from zoo.adapters import is_kind
from zoo.checked.texts import check_plain
from zoo.conf import folder, options
from zoo.config import check, plain
from zoo.errors import ZooError, nearest
from zoo.training import embeddings
from zoo.training.threads import check_threads

log = logging.getLogger(__name__)


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse keys that nothing reads (docs/criteria.md, A6), a seed that is none, an accelerator that is not there."""
    ours = OmegaConf.load(folder() / "train.yaml")
    groups = {str(key) for entry in ours.defaults if not isinstance(entry, str) for key in entry if " " not in str(key)}
    top = groups | set(ours) - {"defaults", "hydra"}
    # Where no `_target_` has a signature to judge by.
    inside = [("paths.", config["paths"], set(ours.paths)), ("adapter.", config["adapter"], set(ours.adapter))]
    for path, node, known in (("", config, top), *inside):
        for key in node.keys() - known:
            raise ZooError(f"{path}{key} is not a key of this config; {nearest(key, known)}")
    for part in ("data", "model", "task", "trainer"):
        if not _is_target(config.get(part)):
            raise ZooError(f"{part}={config.get(part)} cannot be built; choose one of {', '.join(options(part))}.")
    check_plain(plain(config["model"]), "model")  # what cannot be saved is not trained first, such as score.window=inf
    for group in ("callbacks", "logger"):
        _check_entries(group, config.get(group) or {})
    check(config)
    embeddings.check(config.get("embedding"), config["init"])
    _check_adapter(config, plain(ours.adapter))
    if isinstance(config["seed"], bool) or not isinstance(config["seed"], int) or not 0 <= config["seed"] < 2**32:
        raise ZooError(f"seed={config['seed']} is not a whole number from 0 to {2**32 - 1}; give one, such as seed=0.")
    check_threads(config["threads"])
    for key in ("train", "test", "compile"):
        if not isinstance(config[key], bool):
            raise ZooError(f"{key}={config[key]} is neither true nor false.")
    if not (config["train"] or config["test"]):
        raise ZooError("train=false test=false leaves nothing to do; set one of them to true.")
    if not (config["ckpt_path"] or config["init"]):
        if not config["train"]:
            raise ZooError("train=false has no weights to test; give ckpt_path=<run folder> or init=<weights>.")
        if (finetune := config["finetune"]) == "linear_probe" or is_kind(finetune):
            log.warning(f"finetune={finetune} keeps the backbone at random; init=<weights> gives it something to know.")
    _check_accelerator(config["trainer"])


def _check_adapter(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Settings of an adapter that is not asked for would be passed over in silence."""
    given = [f"adapter.{key}={value}" for key, value in config["adapter"].items() if value != usual[key]]
    if given and not is_kind(config["finetune"]):
        raise ZooError(
            f"{', '.join(given)}: there is no adapter with finetune={config['finetune']}; add finetune=lora."
        )


def _check_entries(group: str, entries: Mapping[str, Any]) -> None:
    """`+callbacks.foo=1` is a value where a thing to build should stand: a misspelt name, or a setting too high up."""
    for name, entry in entries.items():
        if entry is not None and not _is_target(entry):
            given = f"{group}.{name}={entry}"
            others = [key for key, value in entries.items() if key != name and value is not None]
            raise ZooError(f"{given} has no _target_, so nothing can be built of it; {nearest(name, others)}")


def _is_target(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" in node


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
