"""The last step of every conversion: build ours, fill it, and prove that it computes the same."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models import build_model
from zoo.pretrained import weights

#: Shows a model one example, of the dtype and device of the tensor given, and returns what the model makes of it.
Show = Callable[[Any, Tensor], Tensor]


def rebuild(theirs: nn.Module, config: dict[str, Any], state: weights.State, show: Show, name: str) -> nn.Module:
    """Our model of this config, with these tensors, and the device, dtype and mode of `theirs`.

    Raises: ZooError where the tensors do not fit, or the outputs differ; it calls the model "this {name}".
    """
    like = next(theirs.parameters())
    ours = build_model(config).to(like.device, like.dtype)
    weights.fill(ours, state, f"This {name}")
    ours.train(theirs.training)
    prove_equal(theirs, ours, show, name)
    return ours


@torch.no_grad()
def prove_equal(theirs: nn.Module, ours: nn.Module, show: Show, name: str, tolerance: float = 1e-4) -> None:
    """Show both the same, in eval mode, in float32 or wider; refuse where the outputs differ by more than rounding.

    This is the guard against options of the other library's releases that are not written yet.
    """
    of_ours = next(ours.parameters())
    if of_ours.device.type == "meta":
        return
    like = of_ours.new_empty(0, dtype=torch.promote_types(of_ours.dtype, torch.float32))
    proof = [_wide(theirs, like.dtype), _wide(ours, like.dtype)]
    with torch.backends.cudnn.flags(allow_tf32=False):  # by default cuDNN rounds a convolution's inputs to 10 bits
        a, b = (_eval(model, like, show) for model in proof)
    difference, largest = (a - b).abs().max().item(), a.abs().max().item()
    if not difference <= tolerance * max(1.0, largest):
        raise ZooError(
            f"The converted model gives other outputs than this {name} (they differ by {difference:.3g}, the largest is "
            f"{largest:.3g}), so it has an option that zoo does not know; please report it."
        )


def _wide(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model itself where its dtype is wide enough, else a copy."""
    return model if next(model.parameters()).dtype == dtype else deepcopy(model).to(dtype)


def _eval(model: nn.Module, like: Tensor, show: Show) -> Tensor:
    """The output in eval mode; each module is left in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        return show(model.eval(), like)
    finally:
        for module, mode in modes:
            module.training = mode
