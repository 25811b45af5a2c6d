"""A run's checkpoint, as Lightning wrote it: the task's tensors, and the words that it was built of."""

from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.checked.tensors import read
from zoo.errors import ZooError


def read_run(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """What a .ckpt file holds, its state_dict of tensors, and its hyper-parameters, {} where it has none.

    Raises: ZooError for a file that cannot be read, or is not a run's.
    """
    content = read(path)
    state, given = content.get("state_dict"), content.get("hyper_parameters", {})
    if not isinstance(state, dict) or not state:
        found = ", ".join(map(str, content))[:300] or "nothing"
        raise ZooError(f"{str(path)!r} is not a checkpoint of a run, whose state_dict has tensors: it holds {found}.")
    if strange := [name for name, value in state.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise ZooError(f"{str(path)!r}: {str(strange[0])[:80]} in its state_dict is not a tensor under a name.")
    if not isinstance(given, dict):
        raise ZooError(f"{str(path)!r}: its hyper-parameters are a {type(given).__name__}, not those of a run.")
    return content, state, given
