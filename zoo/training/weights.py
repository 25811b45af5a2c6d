"""The checkpoint that `ckpt_path` gives: what it holds, and whether a model is of its size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo import construct, packages
from zoo.checked import model as checked
from zoo.checked import tensors
from zoo.checked.checkpoint import read_run
from zoo.config import locate, plain
from zoo.errors import ZooError, naming


def read(checkpoint: Path) -> dict[str, Tensor]:
    """What a training's checkpoint holds of its model.

    Raises: ZooError for a file that is none, cannot be read, or holds NaN.
    """
    content, state, _ = read_run(checkpoint)
    if "pytorch-lightning_version" not in content:  # Lightning asks for it
        raise ZooError(
            f"{checkpoint} is no checkpoint that a training wrote, which holds Lightning's version; ckpt_path takes best.ckpt "
            "or last.ckpt of a run, init= weights alone."
        )
    tensors.check_numbers(state, str(checkpoint))
    return state


def check_size(model: Mapping[str, Any], held: Mapping[str, Tensor], where: str) -> None:
    """Refuse a model of far more numbers than a checkpoint holds, before it takes memory: its sizes were read in a file.

    Args:
        model: its config, complete.
        held: `read` of the checkpoint.
        where: what errors call the file of the sizes.
    Raises: ZooError for that, and for sizes that nothing can be built of.
    """
    most, tree = checked.Most.of(held), construct.resolve(plain(model), locate)
    try:
        with naming(where):
            checked.check_values(tree, most)
        checked.sketch(tree, where, most)
    except construct.NotBuilt:
        if not any(packages.under(call.name, packages.own()) for call in construct.calls(tree)):
            raise  # code of one's own may want to read numbers, which a sketch has not
