"""From a config to plain containers, to objects, and to the sentence that says which key is wrong.

Nothing heavy is imported here: `python train.py --help` and `import zoo` must not wait for torch.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from zoo import construct
from zoo.construct import argument_types as argument_types
from zoo.errors import ZooError, nearest

# What the user's own words and conf/ may instantiate; what came in a file may name far less (zoo.declared). An object counts
# by the module that defines it, so `zoo.config.importlib.import_module` is refused although its name begins well.
ALLOWED = ("zoo", "datamodules", "torch.nn", "torch.optim", "lightning", "torchmetrics", "torchvision.transforms")


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every `${...}` resolved, as plain dicts, lists, strings and numbers.

    Raises: ZooError if a mandatory value (`???`) was not given or an interpolation leads nowhere.
    """
    if not isinstance(config, DictConfig):
        config = OmegaConf.create(dict(config))
    try:
        return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    except MissingMandatoryValue as error:
        raise ZooError(f"{error.full_key} has no default; give one, as {error.full_key}=...") from error
    except InterpolationResolutionError as error:
        raise ZooError(f"{error.full_key} cannot be resolved: {str(error).splitlines()[0]}") from error


def instantiate(config: Mapping[str, Any], **kwargs: Any) -> Any:
    """Build what the user's own config says, of this project and a short list of libraries only.

    Args:
        config: with a `_target_`.
        kwargs: objects to hand over as they are, in place of what the config says.
    Raises: ZooError for a target that is not allowed or does not exist, and for whatever a target raises.
    """
    own = {key: value for key, value in plain(config).items() if key not in kwargs}
    return construct.make(construct.resolve(own, locate), **kwargs)


def locate(target: str, path: str = "_target_") -> Callable[..., Any]:
    """The class or function that a dotted name means, if the user may use it. What a file may use: `zoo.declared.find`.

    Raises: ZooError if it is outside `ALLOWED`, or there is none of that name (with the nearest that there is).
    """
    if not _allowed(str(target)):
        raise ZooError(f"{path}={target!r} may not be instantiated; allowed are names under {', '.join(ALLOWED)}.")
    first, *names = target.split(".")
    found: Any = importlib.import_module(first)
    for name in names:
        if not hasattr(found, name):
            _import(f"{getattr(found, '__name__', '')}.{name}")
        if not hasattr(found, name):
            where = getattr(found, "__name__", type(found).__name__)
            raise ZooError(f"{path}={target!r} does not exist in {where}; {nearest(name, _public(found))}")
        found = getattr(found, name)
    if not callable(found) or not _allowed(getattr(found, "__module__", None) or ""):
        raise ZooError(f"{path}={target!r} may not be instantiated; no class or function of {', '.join(ALLOWED)}.")
    return found


def check(config: Mapping[str, Any]) -> None:
    """Refuse each key beside a `_target_` that the target's signature does not accept (CRITERIA.md, A6).

    Hydra refuses a misspelt `model.dpeth=3` itself, but takes `+model.dpeth=3`; without this a target that is built
    late (a partial) would tell after the data were loaded.
    """
    construct.check(construct.resolve(config, locate))


def _import(module: str) -> None:
    """Import a module if there is one of that name; an error inside it is not hidden."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name and (module == error.name or module.startswith(error.name + "."))):
            raise


def _allowed(name: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in ALLOWED)


def _public(module: Any) -> list[str]:
    """The classes and functions that a module defines: what a misspelt target may have meant."""
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
