"""What of a model trains (`finetune=`), and what of it a checkpoint then holds."""

from typing import Any

import torch

from zoo.adapters import KINDS, adapt, is_kind, kind_of, own_modules, own_names, stay_in_eval
from zoo.adapters.model import INSIDE
from zoo.adapters.record import Base, Record, base_from, base_of, from_plain, join, to_plain
from zoo.errors import ZooError, nearest, one_line
from zoo.models.base import Model

FINETUNE = ("full", "linear_probe", *KINDS)
PREFIX = "model."  # of a task's state dict
STATES = ("state_dict", "current_model_state")  # of a checkpoint; the second beside averaged weights


def check(finetune: str) -> None:
    """Raise ZooError for a way that is unknown."""
    if is_kind(finetune):
        kind_of(finetune)
    elif finetune not in FINETUNE:
        raise ZooError(f"finetune={one_line(finetune, 80)!r} is unknown; {nearest(finetune, FINETUNE)}")


def prepare(model: Model, finetune: str) -> None:
    """Freeze what does not train: of a probe all but the linear head and what `init=` started anew, which no source has taught
    anything. An adapter that the model has stays, else it gets one of the usual settings."""
    if finetune == "linear_probe":
        if model.linear_head is None:
            raise ZooError(
                f"finetune=linear_probe trains a linear head alone, and {type(model).__name__} as it is built has none; "
                "take finetune=full, or finetune=lora, which trains beside a frozen model what init= had no weights for."
            )
        model.requires_grad_(False)
        for name in own_modules(model):
            model.get_submodule(name).requires_grad_(True)
    if is_kind(finetune):
        if model.adapter is None:
            adapt(model, finetune)
        elif model.adapter.kind != finetune:
            raise ZooError(
                f"finetune={finetune}, but the model has a {model.adapter.kind}; merge it first, or go on with it."
            )


def set_modes(model: Model, finetune: str, mode: bool) -> None:
    """After `train(mode)`: a probe's backbone in eval mode, so without dropout; of an adapter's what counts statistics."""
    if finetune == "linear_probe" and model.linear_head is not None:
        model.eval()
        for name in own_modules(model):
            model.get_submodule(name).train(mode)
    if model.adapter is not None:
        stay_in_eval(model)


def keep(model: Model, base: Base, checkpoint: dict[str, Any]) -> None:
    """Leave in a checkpoint the adapter alone, with name and hash of its base; where nobody knows where that lies, all stays.

    Args:
        base: of the model (`zoo.adapters.record.base_of`), which does not change in a training.
    """
    names = list(model.state_dict())
    own = set(own_names(model, names))
    record = Record(model.adapter, base, {name: name for name in own if INSIDE not in name})
    checkpoint["adapter"] = to_plain(record)
    left_out = {PREFIX + name for name in names if name not in own} if base.source is not None else set()
    for key in STATES:
        if key in checkpoint:
            checkpoint[key] = {name: tensor for name, tensor in checkpoint[key].items() if name not in left_out}


def restore(model: Model, base: Base, checkpoint: dict[str, Any]) -> None:
    """Put the model's own base beside the adapter that a checkpoint holds.

    Raises: ZooError where the checkpoint's is the adapter of another base.
    """
    own = model.state_dict()
    whole = {PREFIX + name: tensor for name, tensor in own.items() if name not in set(own_names(model, own))}
    states = [checkpoint[key] for key in STATES if key in checkpoint]
    if not any(whole.keys() - state.keys() for state in states) or not checkpoint.get("adapter"):
        return
    theirs = base_from(checkpoint["adapter"], "The checkpoint")
    if theirs.hash != base.hash:
        raise ZooError(
            f"The checkpoint is an adapter of another base: of {theirs.name or 'a model'} (sha256 {theirs.hash[:12]}), and "
            f"this one is {base.hash[:12]}; give the one that it was trained on, as init=."
        )
    for state in states:
        state |= {name: tensor.detach().clone() for name, tensor in whole.items() if name not in state}


def put_on(model: Model, checkpoint: dict[str, Any], where: str, trust: tuple[str, ...] = ()) -> None:
    """The adapter of a checkpoint on a model that has none, if there is one in the file, which is looked at first."""
    if not checkpoint.get("adapter") or model.adapter is not None:
        return
    record = from_plain(checkpoint["adapter"], where, trust)
    state = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(PREFIX)
    }
    parts = {name: tensor for name, tensor in state.items() if INSIDE in name}
    own = {name: tensor for name, tensor in state.items() if name in record.tensors}
    with torch.no_grad():
        join(model, record.adapter, parts, own, where, record.base if record.base.source is not None else None)


__all__ = ["FINETUNE", "Base", "base_of", "check", "keep", "prepare", "put_on", "restore", "set_modes"]
