"""How large a model is, told without making its weights."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Size(NamedTuple):
    """parameters; flops of one forward on one image (2 a multiply-add; None where a model cannot be traced)."""

    parameters: int
    flops: int | None


def sketch(config: Mapping[str, Any]) -> nn.Module:
    """The model of a config on torch's meta device: shapes without storage, so that the largest is there at once."""
    from zoo.models import build_model

    with torch.device("meta"):
        return build_model(dict(config))


@torch.enable_grad()  # the counter follows modules by gradients, and a parameter's view made under no_grad has none
def measure(model: nn.Module, image: tuple[int, int, int]) -> Size:
    """Count parameters, and the operations on one image of (channels, height, width); needs a sketched model."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    try:
        with FlopCounterMode(display=False) as counter:
            model.eval()(torch.empty(1, *image, device="meta"))
    except (NotImplementedError, RuntimeError):  # an operation that has no shape rule
        return Size(parameters, None)
    return Size(parameters, counter.get_total_flops())
