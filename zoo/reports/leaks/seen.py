"""What guards look at: some windows and their forecasts, with the model left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.inspect.series.errors import batches, moved

WINDOWS = 8  # of the test part, that guards look at
NEAR = 1e-5  # what rounding in other batches may move


class Broken(Exception):
    """What a guard saw that must not be."""


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Eval mode, on the CPU's and the devices' random numbers as they were, afterwards the modes that it came in."""
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def forecast(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The means, and whatever else a forecast holds: [B, numbers]."""
    found = model.forward(*model.inputs(moved(batch, next(model.parameters()).device)))
    parts = [found.mean, found.quantiles, *(found.params or ())]
    return torch.cat([part.flatten(1) for part in parts if part is not None], 1)


def some(data: Any, count: int = WINDOWS) -> dict[str, Tensor]:
    """A batch of test windows, evenly over the part."""
    windows = data.test_dataloader().dataset
    n = len(windows)
    rows = sorted({round(i * (n - 1) / max(count - 1, 1)) for i in range(count)})
    return next(batches(windows, rows))


def noise(values: Tensor) -> Tensor:
    """Others of the same kind and shape: truth values turned around, classes moved on, numbers of any size."""
    if values.dtype == torch.bool:
        return ~values
    if not values.is_floating_point():
        return values.roll(1, 0)
    return 3 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0)).to(values) - 5


def same(before: Tensor, after: Tensor, words: str) -> None:
    if not torch.equal(before, after):
        raise Broken(f"{words}, by up to {apart(before, after):.3g}")


def near(before: Tensor, after: Tensor, words: str) -> None:
    allowed = NEAR * before.abs().clamp(min=1)
    if not ((before - after).abs() <= allowed).all():
        raise Broken(f"{words}, by up to {apart(before, after):.3g}")


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())
