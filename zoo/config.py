"""From a config to plain containers, to objects, and to the sentence that says which key is wrong.

Nothing heavy is imported here: `python train.py --help` and `import zoo` must not wait for torch.
"""

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from zoo.errors import ZooError, nearest

# What a config, also one that came inside somebody's checkpoint, may instantiate (CRITERIA.md, A8). An object counts by
# the module that defines it, so `zoo.config.importlib.import_module` is refused although its name begins well.
ALLOWED = ("zoo", "datamodules", "torch.nn", "torch.optim", "lightning", "torchmetrics", "torchvision.transforms")
NUMBERS = {int, float, bool, type(None)}
# Hydra's own words beside `_target_`.
RESERVED = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


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
    """Hydra's `instantiate` on plain containers, for targets of this project and a short list of libraries only.

    Args:
        config: with a `_target_`.
        kwargs: objects to hand over as they are, in place of what the config says.
    Raises: ZooError for a target that is not allowed or does not exist, and whatever a target raises as ZooError.
    """
    import hydra.utils
    from hydra.errors import InstantiationException

    config = plain(config)
    if kwargs:  # given to a partial: Hydra would turn lists and dataclasses among them into configs
        config = {key: value for key, value in config.items() if key not in kwargs} | {"_partial_": True}
    for path, node in _targets(config):
        locate(node["_target_"], path)
    try:
        made = hydra.utils.instantiate(config, _convert_="all")
        return made(**kwargs) if kwargs else made
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ZooError):
            raise cause from None  # the sentence alone: Hydra's wrapping adds only the target's name
        raise


def locate(target: str, path: str = "_target_") -> Callable[..., Any]:
    """The class or function that a dotted name means, if it may be used.

    Raises: ZooError if it is outside `ALLOWED`, or there is none of that name (with the nearest that there is).
    """
    if not _allowed(str(target)):
        raise ZooError(f"{path}={target!r} may not be instantiated; allowed are names under {', '.join(ALLOWED)}.")
    module = target
    names: list[str] = []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            # Missing because the target's own path ends here, or because that module imports something not installed?
            if not (error.name and (module == error.name or module.startswith(error.name + "."))):
                raise
            module, _, name = module.rpartition(".")
            names.insert(0, name)
            if not module:
                raise ZooError(f"{path}={target!r} does not exist.") from None
    for name in names:
        if not hasattr(found, name):
            raise ZooError(f"{path}={target!r} does not exist in {module}; {nearest(name, _public(found))}")
        found = getattr(found, name)
    if not callable(found) or not _allowed(getattr(found, "__module__", None) or ""):
        raise ZooError(f"{path}={target!r} may not be instantiated; no class or function of {', '.join(ALLOWED)}.")
    return found


def check(config: Mapping[str, Any]) -> None:
    """Refuse each key beside a `_target_` that the target's signature does not accept (CRITERIA.md, A6).

    Hydra refuses a misspelt `model.dpeth=3` itself, but takes `+model.dpeth=3`; without this a target that is built
    late (a partial) would tell after the data were loaded.
    """
    for path, node in _targets(config):
        target = locate(node["_target_"], f"{path}._target_")
        try:
            parameters = inspect.signature(target).parameters.values()
        except ValueError:  # written in C, without a signature
            continue
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            continue
        known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        hints = argument_types(target)
        for key in node.keys() - RESERVED:
            name = f"{path}.{key}".lstrip(".")
            if key not in known:
                raise ZooError(f"{name}={node[key]!r} is no setting of {node['_target_']}; {nearest(key, known)}")
            if isinstance(node[key], str) and hints.get(key) and hints[key] <= NUMBERS:
                kinds = " or ".join(sorted(kind.__name__ for kind in hints[key] - {type(None)}))
                raise ZooError(f"{name}={node[key]!r} is no number; {node['_target_']} takes {kinds} there.")


def _targets(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with a `_target_`, outermost first, and its dotted path."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _targets(value, f"{path}[{i}]")


def argument_types(target: Callable[..., Any]) -> dict[str, set[Any]]:
    """The types that each argument may have, where the target says so and they can be looked up."""
    try:
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # names that are imported for type checkers only
        return {}
    unions = (typing.Union, types.UnionType)
    return {name: set(typing.get_args(t)) if typing.get_origin(t) in unions else {t} for name, t in hints.items()}


def _allowed(name: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in ALLOWED)


def _public(module: Any) -> list[str]:
    """The classes and functions that a module defines: what a misspelt target may have meant."""
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
