"""What stands where nothing was observed, in models that have no mask."""

import torch
from torch import Tensor


def carry_forward(x: Tensor, observed: Tensor | None) -> Tensor:
    """Unobserved cells get the value observed last; those before the first observed one that one, and 0 where there is none.

    Shapes: x [B, L, C], observed [B, L, C] bool or None (all) -> [B, L, C].
    """
    if observed is None or (x.device.type == "cpu" and not torch.compiler.is_compiling() and observed.all()):
        return x  # on a GPU, asking would wait for it
    steps = torch.arange(x.shape[1], device=x.device).view(1, -1, 1)
    latest = torch.where(observed, steps, -1).cummax(1).values
    first = observed.int().argmax(1, keepdim=True)
    return x.masked_fill(~observed, 0).gather(1, torch.where(latest < 0, first, latest))
