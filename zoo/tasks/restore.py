"""Does a checkpoint fit the model it is loaded into?"""

from collections.abc import Mapping

from torch import Tensor, nn

from zoo.errors import ZooError

SHOWN = 6


def check_fits(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise a ZooError that names the tensors that differ in name or shape between a module and a state dict.

    torch says the same in one line a tensor, hundreds of them for another depth; here the first few of each kind.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    shapes = [
        f"{name} ({list(state[name].shape)} there, {list(own[name].shape)} here)"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    kinds = {"only in the model": missing, "only in the checkpoint": unknown, "of another shape": shapes}
    found = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if found:
        raise ZooError(
            f"The checkpoint is of another architecture; tensors {'; '.join(found)}. "
            "Build the model with the config the checkpoint was trained with (config.yaml in its run folder)."
        )


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
