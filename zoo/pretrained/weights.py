"""Tensors between files and models: their names, and whether they fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.attention.record import strip_wrappers
from zoo.checked.fits import check_fits, with_tied
from zoo.checked.tensors import check_numbers, read
from zoo.errors import ZooError, one_line

__all__ = ["State", "check_there", "clean", "fill", "read", "tensors"]

State = dict[str, Tensor]


#: Files of tensors that can hold code as well.
PICKLE = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".h5", ".joblib")


def check_there(folder: Path, wanted: Sequence[str]) -> None:
    """Refuse a folder whose weights are pickle alone. Raises: ZooError that names what lies there.

    Args:
        wanted: files of weights that are read.
    """
    there = sorted(path.name for path in folder.iterdir())
    pickled = [name for name in there if name.lower().endswith(PICKLE)]
    if pickled and not set(wanted) & set(there):
        raise ZooError(
            f"{str(folder)!r} has no {wanted[0]}, and {one_line(', '.join(pickled), 300)}, which is pickle and may hold code, "
            "is not read; ask for the weights as safetensors, or write them by safetensors.torch.save_file if you trust them."
        )


def clean(state: Mapping[str, Any]) -> State:
    """Names as the plain model has them: what torch.compile and data-parallel wrappers put before them is left out."""
    return {strip_wrappers(name): value for name, value in state.items() if isinstance(value, Tensor)}


def tensors(model: nn.Module) -> State:
    """A model's tensors as a file holds them: contiguous, each once where two names share one."""
    first = {id(tensor): name for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
    return clean({n: t.detach().contiguous() for n, t in model.state_dict(keep_vars=True).items() if first[id(t)] == n})


def fill(model: nn.Module, state: State, source: str) -> None:
    """Copy tensors into a model; all of its own must be there, and no others.

    Raises: ZooError that names `source` and the tensors that are missing, unexpected or of another shape, or hold NaN.
    """
    state = with_tied(model, state)
    try:
        check_fits(model, state)
    except ZooError as error:
        raise ZooError(f"{source} does not fit. {error}") from None
    model.load_state_dict(state)
    check_numbers(model.state_dict(), source)  # in the model's own type: what was 1e300 in a file is infinite here
