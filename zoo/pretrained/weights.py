"""Tensors from files, without pickle, and whether they fit a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention.record import strip_wrappers
from zoo.errors import ZooError
from zoo.tasks.restore import check_fits

State = dict[str, Tensor]


def read(path: Path) -> dict[str, Any]:
    """What a .safetensors file, or one that torch.save wrote, holds. Only tensors and plain values are read (A7).

    Raises: ZooError for a file that is missing, truncated, or would need pickle to run code.
    """
    if not path.is_file():
        raise ZooError(f"There is no file {str(path)!r}; give the path of a .safetensors or .ckpt file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library, and each way in which a file can be broken, has an error of its own
        raise ZooError(
            f"{str(path)!r} ({path.stat().st_size} bytes) cannot be read: it is truncated, or holds more than tensors "
            f"and plain values ({str(error).splitlines()[0]}). Copy it again, or take another file."
        ) from error


def clean(state: Mapping[str, Any]) -> State:
    """Names as the plain model has them: what torch.compile and data-parallel wrappers put before them is left out."""
    return {strip_wrappers(name): value for name, value in state.items() if isinstance(value, Tensor)}


def tensors(model: nn.Module) -> State:
    """A model's tensors as a file holds them: contiguous, each once where two names share one."""
    first = {id(tensor): name for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
    return clean({n: t.detach().contiguous() for n, t in model.state_dict(keep_vars=True).items() if first[id(t)] == n})


def fill(model: nn.Module, state: State, source: str) -> None:
    """Copy tensors into a model; all of its own must be there, and no others.

    Raises: ZooError that names `source` and the tensors that are missing, unexpected or of another shape.
    """
    own = model.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    for name, tensor in own.items():  # a tensor under two names is in the file under the first
        name_of_first = first.setdefault(id(tensor), name)
        if name not in state and name_of_first in state:
            state = {**state, name: state[name_of_first]}
    try:
        check_fits(model, state)
    except ZooError as error:
        raise ZooError(f"{source} does not fit. {error}") from None
    model.load_state_dict(state)
