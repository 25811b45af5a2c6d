"""What the card of a model folder says of the model itself; what it was trained on and came to, its user or its run says."""

import math
import platform
from collections.abc import Mapping
from typing import Any

import torch

from zoo import __version__
from zoo.models import Model
from zoo.pretrained.facts import strangers_in
from zoo.pretrained.weights import State


def of_model(model: Any, state: State, about: Mapping[str, Any]) -> dict[str, Any]:
    """The card (`zoo.catalog.card`), without its files.

    Args:
        state: the tensors that are saved.
        about: keys of the card, which go before what is found here; `data` may be a name alone. Others become sections of the
            README.md. What is not plain is told by its text, what is not finite as unknown.
    """
    told = getattr(model, "preprocess", None)
    floats = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()}
    given = _plain(about)
    if isinstance(given.get("data"), str):
        given["data"] = {"name": given["data"]}
    found = {
        "modality": model.reads[0] if isinstance(model, Model) and len(model.reads) == 1 else None,
        "architecture": model.config.get("_target_"),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": ", ".join(sorted(floats)) or None,
        "outputs": _gives(model),
        "objective": getattr(model, "objective", None),
        "columns": (told.describe() if told is not None else None) or None,
        "trust": strangers_in(model) or None,
    }
    versions = {"python": platform.python_version(), "attention-zoo": __version__, "torch": torch.__version__}
    given_versions = given.pop("versions", None) or {}
    return {**found, **given, "versions": {**versions, **given_versions}}


def _gives(model: Any) -> str:
    """What comes out, in words."""
    if isinstance(model, Model) and model.targets == "values":
        return model.describe()["window"]
    return f"{model.num_classes} classes" if isinstance(model, Model) and model.num_classes else "no classifier"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # of numpy or torch
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)
