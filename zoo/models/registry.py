"""Names of models whose sizes are known: what the families' files say of themselves, in one name space."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.models import graph, language, pairs, series, vision

ROOMS = (vision, graph, language, series, pairs)


def _collected() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for room in ROOMS:
        for file in pkgutil.iter_modules(room.__path__):
            own = vars(import_module(f"{room.__name__}.{file.name}")).get("CONFIGS", {})
            if twice := found.keys() & own.keys():
                raise ValueError(f"{room.__name__}.{file.name}: {min(twice)} is the name of another model too")
            found |= own
    return found


#: Name -> plain config with a `_target_`, as a model folder's config.json holds it: the CONFIGS of each family's file.
CONFIGS = _collected()

#: Sizes of a name that the data of a training decide. Not the image's: patches are made for it.
DECIDED = (
    "num_classes", "in_chans", "in_dim", "edge_dim", "readout", "vocab_size", "context", "channels", "lookback", "horizon",
    "per_token", "source_vocab", "target_vocab", "time_features", "past_covariates", "future_covariates", "static_categories",
    "static_reals",
)  # fmt: skip


def store(files: Iterable[Path]) -> None:
    """Make these names choices of `model=` for Hydra.

    Args:
        files: conf/model's. Of the one with the same class come the choices of score, pattern, position and kernel, and the
            data and the recipe to begin with.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    found: list[Any] = [OmegaConf.to_container(OmegaConf.load(path)) for path in files]
    families = {file["model"]["_target_"]: file for file in found if "_target_" in file.get("model", {})}
    for name, config in CONFIGS.items():
        family = families[config["_target_"]]
        model = {key: family["model"][key] for key in ("attention",) if key in family["model"]} | config
        model |= {key: None for key in DECIDED if key in family["model"]}
        node = {"defaults": family["defaults"], "model": model}
        ConfigStore.instance().store(group="model", name=name, node=node, package="_global_")
