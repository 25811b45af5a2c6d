"""A task back from a checkpoint alone: its hyper-parameters are a file's words, and are checked as such (A7, A8)."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import construct, declared, packages
from zoo.adapters import KINDS, is_kind
from zoo.adapters.model import INSIDE
from zoo.adapters.record import base_from
from zoo.checked import model as checked
from zoo.checked.checkpoint import read_run
from zoo.checked.tensors import check_numbers
from zoo.checked.texts import check_config
from zoo.errors import ZooError, naming
from zoo.models.base import Model
from zoo.models.factory import with_config
from zoo.tasks import finetune

PREFIX = "model."


def reload(kind: type, path: str | Path, strict: bool | None = None, trust: Sequence[str] = (), **changes: Any) -> Any:
    """The task of class `kind` that a checkpoint holds.

    Lightning's own way calls the class with whatever the file says; here a file may name the models, parts, mixings, optimizers
    and schedules that declare themselves, and the model is compared with the weights before it takes memory.

    Args:
        kind: the task's class.
        path: a .ckpt file.
        strict: as in `load_state_dict`.
        trust: packages of your own that the file may name, see `zoo.load`.
        changes: arguments of the task in place of the file's, which are the caller's own word.
    Raises: ZooError for a file that is no checkpoint of such a task, or names what is not declared.
    """
    where, (content, state, given) = f"the hyper-parameters of {str(path)!r}", read_run(Path(path))
    check_config(given, where)
    own = packages.checked(trust)
    known = inspect.signature(kind).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in known.values())
    settings = {key: value for key, value in given.items() if (takes_all or key in known) and key not in changes}
    config = settings.pop("model", None)
    word = settings.get("finetune")
    with naming(where):
        if is_kind(word) and word not in KINDS:
            declared.find(word, "train", "finetune", own)
        construct.check(construct.resolve(settings, lambda name, at: declared.find(name, "train", at, own)))
    if config is None and "model" not in changes:
        raise ZooError(f"{str(path)!r} has no config to build the model from; pass the model itself, as model=...")
    if "model" not in changes:
        weights = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
        if content.get("adapter"):
            base = base_from(content["adapter"], repr(str(path)))
            if base.source is not None:
                raise ZooError(
                    f"{str(path)!r} holds an adapter, and of its base ({base.name}) the hash alone; pass the model, as "
                    f"model=zoo.load({str(path)!r})."
                )
            weights = {name: tensor for name, tensor in weights.items() if INSIDE not in name}
        settings["model"] = with_config(checked.build_for(config, weights, f"the model in {where}", own), config)
    if isinstance(model := settings.get("model", changes.get("model")), Model):
        with naming(where):
            finetune.put_on(model, content, repr(str(path)), own)
    with naming(where), packages.trusting(own):  # the settings are plain, and of any kind; mixing is built in here
        task = kind(**settings, **changes)
    # Of the rest, what a training left half-done is not a model's.
    task.on_load_checkpoint({"state_dict": state, "adapter": content.get("adapter")})
    task.load_state_dict(state, strict=strict is not False)
    check_numbers(task.state_dict(), str(path))
    return task
