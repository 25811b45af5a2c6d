"""transformers' InformerForPrediction as ours: both see the same windows at the end, with every query answered."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import InformerForPrediction

from zoo.attention import Attention, Causal, Full, ProbSparse
from zoo.errors import ZooError
from zoo.pretrained.convert import convert
from zoo.pretrained.rebuild import rebuild
from zoo.pretrained.transformers_informer import config_of, tensors_of
from zoo.pretrained.weights import State

ALL = 10**6  # a sampling factor that answers every query


@convert.register(InformerForPrediction)
def from_informer(model: Any, *, lazy: str = "mean") -> nn.Module:
    """InformerForPrediction -> `zoo.models.series.lagged.LaggedInformer`, see `zoo.convert`.

    Equal where nothing is left to chance: attention_type="full", or a sampling_factor at which every query is answered. Else
    theirs draws keys anew in each call, in evaluation too, and lets later steps choose which queries a decoder answers (bugs 5
    and 9): ours does neither.

    Args:
        model: of transformers.
        lazy: of the decoder's ProbSparse: "mean", or "sum", their cumulated sums, which grow with the length (bug 8).

    Raises: ZooError naming each option and value that ours does not have.
    """
    kind, where = type(model).__name__, f"this {type(model).__name__}"
    if not type(model).__module__.startswith("transformers.models."):
        raise ZooError(f"class={type(model).__module__}.{kind} is somebody's own, and may compute something else.")
    if lazy not in ("mean", "sum"):
        raise ZooError(f'lazy={lazy!r} is neither "mean" nor "sum".')
    theirs = json.loads(model.config.to_json_string(use_diff=False))
    config = config_of(theirs, kind, where, lazy)

    def tensors(each: Any) -> State:
        return tensors_of(each.state_dict(), config, theirs.get("distribution_output", "student_t"))

    ours: Any = rebuild(model, config, tensors, _show(config), kind)
    ours.converted_from = kind
    return ours


def _show(config: dict[str, Any]) -> Any:
    """Shows a model two windows with values missing; gives the parameters of its distributions."""
    draw = torch.Generator().manual_seed(0)
    past, horizon = config["context"] + max(config["lags"]), config["horizon"]
    more = (config["channels"],) if config["channels"] > 1 else ()
    given = {
        "past_values": torch.randint(9, (2, past, *more), generator=draw).float(),  # counts, which every head takes
        "past_time_features": torch.randn(2, past, config["time_features"], generator=draw),
        "past_observed_mask": (torch.rand(2, past, *more, generator=draw) > 0.2).float(),
        "future_values": torch.randint(9, (2, horizon, *more), generator=draw).float(),
        "future_time_features": torch.randn(2, horizon, config["time_features"], generator=draw),
    }
    if config["static_reals"]:
        given["static_real_features"] = torch.randn(2, config["static_reals"], generator=draw)
    codes = [[0] * len(config["static_categories"]), [size - 1 for size in config["static_categories"]]]

    def show(model: Any, like: Tensor) -> Tensor:
        shown = {name: x.to(like) for name, x in given.items()}
        if codes[0]:
            shown["static_categorical_features"] = torch.tensor(codes, device=like.device)
        with _answering_all(model):
            return torch.stack(model(**shown).params)

    return show


@contextmanager
def _answering_all(model: nn.Module) -> Iterator[None]:
    """No query is lazy for a while, theirs or ours."""
    factors = [(part, part.factor) for part in model.modules() if isinstance(getattr(part, "factor", None), int)]
    patterns = [(part, part.pattern) for part in model.modules() if isinstance(part, Attention)]
    try:
        for part, _ in factors:
            part.factor = ALL  # type: ignore[assignment]
        for part, pattern in patterns:
            if any(isinstance(one, ProbSparse) for one in pattern.choices):
                part.pattern = Full() if isinstance(pattern, ProbSparse) else Causal()
        yield
    finally:
        for part, factor in factors:
            part.factor = factor  # type: ignore[assignment]
        for part, pattern in patterns:
            part.pattern = pattern
