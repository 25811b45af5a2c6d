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


def rebuild(
    theirs: nn.Module, config: dict[str, Any], tensors_of: Callable[[Any], weights.State], show: Show, name: str
) -> nn.Module:
    """Our model of this config, with the tensors that `tensors_of` makes of theirs, and the device, dtype and mode of theirs.

    All is done in float32 or wider, and rounded to a narrower dtype at the end.

    Raises: ZooError where the tensors do not fit, or the outputs differ; it calls the model "this {name}".
    """
    like = next(theirs.parameters())
    wide = torch.promote_types(like.dtype, torch.float32)
    source = theirs if wide == like.dtype else deepcopy(theirs).to(wide)
    ours = build_model(config).to(like.device, wide)
    weights.fill(ours, tensors_of(source), f"This {name}")
    ours.train(theirs.training)
    prove_equal(source, ours, show, name)
    return ours.to(like.dtype)


@torch.no_grad()
def prove_equal(theirs: nn.Module, ours: nn.Module, show: Show, name: str, tolerance: float = 1e-4) -> None:
    """Show both the same, in eval mode; refuse where the outputs differ by more than rounding.

    This is the guard against options of the other library's releases that are not written yet.
    """
    like = next(ours.parameters())
    if like.device.type == "meta":
        return
    with torch.backends.cudnn.flags(allow_tf32=False):  # by default cuDNN rounds a convolution's inputs to 10 bits
        a, b = (_eval(model, like, show) for model in (theirs, ours))
    if a.shape != b.shape:
        raise ZooError(
            f"The converted model gives {list(b.shape)} where this {name} gives {list(a.shape)}; please report it."
        )
    difference, largest = (a - b).abs().max().item(), a.abs().max().item()
    if not difference <= tolerance * max(1.0, largest):
        raise ZooError(
            f"The converted model gives other outputs than this {name} (they differ by {difference:.3g}, the largest is "
            f"{largest:.3g}), so it has an option that zoo does not know; please report it."
        )


def _eval(model: nn.Module, like: Tensor, show: Show) -> Tensor:
    """The output in eval mode; each module is left in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        return show(model.eval(), like)
    finally:
        for module, mode in modes:
            module.training = mode
