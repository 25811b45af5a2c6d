"""Which parameters are decayed, and how fast each layer learns.

Written here, not taken from timm: its groups ignore a name in `no_weight_decay()` that matches nothing (so a renamed
token is decayed in silence, TIMM#2712), give what no layer claims the head's rate, and cost 3.6 s of import.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.models.base import Model

NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def build_optimizer(model: nn.Module, config: Mapping[str, Any], layer_decay: float | None = None) -> Optimizer:
    """An optimizer over the groups of `parameter_groups`.

    Args:
        config: `_target_` and arguments of a torch optimizer without its parameters, in plain containers.
    """
    from zoo.config import instantiate

    groups = parameter_groups(model, layer_decay)
    try:
        optimizer = instantiate({**config, "_partial_": True})(groups)
    except (TypeError, ValueError, RuntimeError) as error:  # how torch refuses a value; ZooError is a ValueError
        if isinstance(error, ZooError):
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in config.items() if not key.startswith("_"))
        raise ZooError(
            f"task.optimizer: {config['_target_']} does not take {given} ({error}); correct them."
        ) from error
    for group in optimizer.param_groups:
        group["lr"] *= group["lr_scale"]
    return optimizer


def parameter_groups(model: nn.Module, layer_decay: float | None = None) -> list[dict[str, Any]]:
    """Every trainable parameter once, grouped by (is it decayed, scale of its learning rate).

        scale(layer l of L) = layer_decay ** (L - 1 - l),    so the head learns at the full rate

    Not decayed: biases, norms, everything of one dimension or none, and what `model.no_weight_decay()` names. The
    groups are made of the model's own names, so they are right whatever DDP wraps it in later.

    Returns: groups with `params` as (name, parameter) pairs, `lr_scale`, and `weight_decay` = 0 where not decayed.
    Raises: ZooError where `no_weight_decay()` names no parameter, or `layer_groups()` does not hold each exactly once.
    Source: BEiT (Bao et al. 2022) for the layer-wise rate.
    """
    parameters = dict(model.named_parameters())
    plain = no_decay_names(model, parameters)
    scales = layer_scales(model, parameters, layer_decay) if layer_decay is not None else {}
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for name, parameter in parameters.items():
        if not parameter.requires_grad:
            continue
        decayed, scale = name not in plain, scales.get(name, 1.0)
        options = {"params": [], "lr_scale": scale} | ({} if decayed else {"weight_decay": 0.0})
        groups.setdefault((decayed, scale), options)["params"].append((name, parameter))
    if not groups:
        raise ZooError("The model has no parameter to train; unfreeze one (finetune=full trains all of them).")
    return list(groups.values())


def no_decay_names(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> set[str]:
    """Names of the parameters that weight decay leaves alone."""
    asked = model.no_weight_decay() if isinstance(model, Model) else set()
    _refuse(asked - set(parameters), "no_weight_decay() names what is not a parameter of the model")
    norms = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, NORMS))
    flat = {n for n, p in parameters.items() if p.ndim <= 1 or n.endswith("bias") or (norms and n.startswith(norms))}
    return asked | flat


def layer_scales(model: nn.Module, parameters: Iterable[str], decay: float) -> dict[str, float]:
    """Parameter name -> scale of its learning rate, out of `model.layer_groups()` (input to output)."""
    layers = model.layer_groups() if isinstance(model, Model) else None
    if layers is None:
        raise ZooError(f"{type(model).__name__} has no layer_groups(), so layer_decay={decay} has no order; use null.")
    names = [name for layer in layers for name in layer]
    _refuse(set(parameters) - set(names), "layer_groups() leaves out")
    _refuse(set(names) - set(parameters), "layer_groups() names what is not a parameter of the model")
    _refuse({name for name in names if names.count(name) > 1}, "layer_groups() holds more than once")
    return {name: decay ** (len(layers) - 1 - i) for i, layer in enumerate(layers) for name in layer}


def _refuse(names: set[str], what: str) -> None:
    if names:
        raise ZooError(f"{what}: {', '.join(sorted(names))}. Each parameter belongs to one layer, under its own name.")
