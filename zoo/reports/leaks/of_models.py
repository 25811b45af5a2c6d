"""Guards of a model: batches are changed, and its forecasts must not be moved, or must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.revin import RevIN
from zoo.reports.leaks.seen import NEAR, Broken, forecast, near, noise, same, some


def future_values_move_nothing(model: Any, data: Any) -> str:
    """E5, bug 17: what came is not read."""
    batch = some(data)
    before = forecast(model, batch)
    for name in ("future_values", "future_observed_mask"):
        after = forecast(model, {**batch, name: noise(batch[name])})
        same(before, after, f"{name} moved the forecast")
    return f"{len(before)} windows, future_values and future_observed_mask set to noise: equal to the bit"


def neighbours_move_nothing(model: Any, data: Any) -> str:
    """E2: another window of the batch, or none."""
    batch = some(data)
    before = forecast(model, batch)
    if len(before) > 1:
        others = {key: torch.cat([value[:1], noise(value[1:])]) for key, value in batch.items()}
        near(before[:1], forecast(model, others)[:1], "other windows of the batch moved the first")
    for i in range(len(before)):
        alone = {key: value[i : i + 1] for key, value in batch.items()}
        near(before[i : i + 1], forecast(model, alone), f"window {i} alone is forecast otherwise than in its batch")
    return f"{len(before)} windows in a batch, alone, and beside noise: within {NEAR:g}"


def newest_value_moves(model: Any, data: Any) -> str:
    """Bug 18: a tokenizer of patches may drop the newest values."""
    batch = some(data)
    if (mask := batch.get("past_observed_mask")) is not None:
        batch = {**batch, "past_observed_mask": torch.cat([mask[:, :-1], torch.ones_like(mask[:, -1:])], 1)}
    values = batch["past_values"]
    with held_statistics(model):
        before = forecast(model, batch)
        for c in range(values.shape[-1]):
            other = values.clone()
            other[:, -1, c] += 1
            still = (forecast(model, {**batch, "past_values": other}) == before).flatten(1).all(1)
            if still.any():
                raise Broken(
                    f"the last value of channel {c} moved nothing in {int(still.sum())} of {len(still)} windows"
                )
    return f"{len(values)} windows, the last value of each channel + 1, statistics of RevIN held"


def seeds_move_nothing(model: Any, data: Any) -> str:
    """Bug 5: keys drawn at random in eval mode."""
    batch, found = some(data), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(forecast(model, batch))
    same(found[0], found[1], "another global seed moved the forecast")
    return f"{len(found[0])} windows under two global seeds: equal to the bit"


@contextmanager
def held_statistics(model: nn.Module) -> Iterator[None]:
    """Within it each RevIN norms all that comes by the location and scale of what it saw first."""
    held: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def hook(module: Any, given: Any, found: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        normed, loc, scale = found
        first_loc, first_scale = held.setdefault(module, (loc, scale))
        again = (normed * scale + loc - first_loc) / first_scale
        observed = given[1] if len(given) > 1 else None
        return again if observed is None else again.masked_fill(~observed, 0), first_loc, first_scale

    hooks = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, RevIN)]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
