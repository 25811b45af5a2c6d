"""Do weights fit the model they are loaded into?"""

from collections.abc import Mapping

from torch import Tensor, nn

from zoo.errors import ZooError, printable

SHOWN = 6


def check_fits(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise a ZooError that names the tensors that differ in name, shape or kind between a module and a state dict.

    torch says the same in one line a tensor, hundreds of them for another depth; here the first few of each kind.
    """
    own = module.state_dict()
    both = [name for name in own if name in state]
    kinds = {
        "only in the model": [name for name in own if name not in state],
        "only in the checkpoint": [name for name in state if name not in own],
        "of another shape": [
            f"{name} ({list(state[name].shape)} there, {list(own[name].shape)} here)"
            for name in both
            if own[name].shape != state[name].shape
        ],
        "of another kind": [
            f"{name} ({state[name].dtype} there, {own[name].dtype} here)"
            for name in both
            if own[name].is_floating_point() != state[name].is_floating_point()
        ],
    }
    found = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if found:
        raise ZooError(
            f"The checkpoint is of another architecture; tensors {'; '.join(found)}. "
            "Build the model with the config the checkpoint was trained with (config.yaml in its run folder)."
        )


def named_today(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state, under the names of today: a part that had others has a method `renamed`, which changes a state in place."""
    whole = dict(state)
    for name, part in module.named_modules():
        if (renamed := getattr(part, "renamed", None)) is not None:
            renamed(whole, f"{name}." if name else "")
    return whole


def with_tied(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state, under the names of today, with the further ones of tensors that the module holds under several names and a
    file under the first."""
    whole, first = named_today(module, state), dict[int, str]()
    for name, tensor in module.state_dict(keep_vars=True).items():
        name_of_first = first.setdefault(id(tensor), name)
        if name not in whole and name_of_first in whole:
            whole[name] = whole[name_of_first]
    return whole


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return printable(", ".join(name[:200] for name in names[:SHOWN])) + (f" and {more} more" if more > 0 else "")
