"""When two configs describe the same run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from zoo.config import plain

ADAPTERS = ("lora", "bottleneck")  # finetune=; without one its settings decide nothing
Config = DictConfig | ListConfig  # what OmegaConf.load returns


def config_hash(config: Config) -> str:
    """The fingerprint, twelve digits, that two configs share exactly when they describe the same run.

    Where files lie (`paths`, wherever they are interpolated), what is resumed (`ckpt_path`) and `trust` do not count.
    """
    return hashlib.sha256(json.dumps(essence(config), sort_keys=True).encode()).hexdigest()[:12]


def essence(config: Config) -> dict[str, Any]:
    """What of a config decides the run's result, resolved: all but `ckpt_path` and `trust`, with `paths` by their names."""
    copy = cast(dict[str, Any], OmegaConf.to_container(config))
    copy["paths"] = {name: f"<{name}>" for name in copy.get("paths", {})}
    if not copy.get("embedding"):  # as of runs from before there was such a setting
        copy.pop("embedding", None)
    for key in ("ckpt_path", "trust", *(() if copy.get("finetune") in ADAPTERS else ("adapter",))):
        copy.pop(key, None)
    return plain(copy)


def flatten(config: Any, path: str = "") -> dict[str, Any]:
    """Leaves of nested dicts by their dotted names; lists count as leaves."""
    if not isinstance(config, Mapping) or not config:
        return {path: config}
    prefix = f"{path}." if path else ""
    return {name: leaf for key, value in config.items() for name, leaf in flatten(value, f"{prefix}{key}").items()}
