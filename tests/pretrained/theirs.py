"""timm models whose every parameter matters: none is left at zero or one, where a mistake would not show."""

import torch
from torch import nn


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill all parameters with random values of a size that keeps activations near 1; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            matrix = parameter.ndim > 1 and "token" not in name and "pos" not in name
            scale = parameter[0].numel() ** -0.5 if matrix else 0.5
            gain = name.endswith("weight") and parameter.ndim == 1  # of a norm
            parameter.copy_(noise * scale + gain)
    return model.eval()


@torch.no_grad()
def difference(a: nn.Module, b: nn.Module, shape: tuple[int, ...], seed: int = 1) -> float:
    """The largest |difference| of two models' outputs on a random batch."""
    images = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (a(images) - b(images)).abs().max().item()
