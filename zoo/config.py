"""From a config to plain containers, to objects, and to the sentence that says which key is wrong.

Nothing heavy is imported here: `python train.py --help` and `import zoo` must not wait for torch.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import InterpolationResolutionError, UnsupportedValueType

from zoo import construct, packages
from zoo.construct import argument_types as argument_types
from zoo.declared import MOVED
from zoo.errors import ZooError

# What the user's own words and conf/ may instantiate; what came in a file may name far less (zoo.declared). An object counts
# by the module that defines it, so `zoo.config.importlib.import_module` is refused although its name begins well.
ALLOWED = ("zoo", "datamodules", "torch.nn", "torch.optim", "lightning", "torchmetrics", "torchvision.transforms")


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every `${...}` resolved, as plain dicts, lists, strings and numbers.

    Raises: ZooError if a mandatory value (`???`) was not given, an interpolation leads nowhere, or a value is an object.
    """
    try:
        if not isinstance(config, DictConfig):
            config = OmegaConf.create(dict(config))
        return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    except UnsupportedValueType as error:
        raise ZooError(
            f"{error.full_key} is an object, and a config holds words, numbers, lists and dicts: give a part by its name, "
            f'{error.full_key}={{"_target_": "zoo.attention....", "_partial_": True}} with its arguments beside; or call the '
            "model's class, which takes the object itself."
        ) from error
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
    """The class or function that a dotted name means, if the user may use it: of this project, a short list of libraries, or
    a package of the user's own (zoo.packages). What a file may use: `zoo.declared.find`.

    Raises: ZooError if it is outside of them, or there is none of that name (with the nearest that there is).
    """
    target = MOVED.get(target, target)
    allowed = ALLOWED if packages.under(str(target), ALLOWED) else (*ALLOWED, *packages.own())
    if not packages.under(str(target), allowed):
        raise ZooError(
            f"{path}={target!r} may not be instantiated; allowed are names under {', '.join(allowed)}. "
            "A package of your own is allowed by ZOO_PACKAGES=<its name> (docs/extend.md)."
        )
    return packages.located(target, path, allowed)


def check(config: Mapping[str, Any]) -> None:
    """Refuse each key beside a `_target_` that the target's signature does not accept (docs/criteria.md, A6).

    Hydra refuses a misspelt `model.dpeth=3` itself, but takes `+model.dpeth=3`; without this a target that is built
    late (a partial) would tell after the data was loaded.
    """
    construct.check(construct.resolve(config, locate))
