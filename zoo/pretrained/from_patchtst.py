"""transformers' PatchTSTForPrediction and PatchTSTForPretraining, as ours: both see the same windows at the end."""

import json
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PatchTSTForPrediction, PatchTSTForPretraining

from zoo.errors import ZooError
from zoo.pretrained.convert import convert
from zoo.pretrained.rebuild import rebuild
from zoo.pretrained.transformers_patchtst import config_of, tensors_of
from zoo.pretrained.weights import State


@convert.register(PatchTSTForPrediction)
@convert.register(PatchTSTForPretraining)
def from_patchtst(model: Any) -> nn.Module:
    """A PatchTST of transformers -> ours, see `zoo.convert`.

    Of PatchTSTForPretraining comes one that fills in hidden patches: `model(past_values, mask=...)` -> [B, C, N, P].

    Raises: ZooError naming the class, or each option and value that ours does not have.
    """
    kind, where = type(model).__name__, f"this {type(model).__name__}"
    if not type(model).__module__.startswith("transformers.models."):
        raise ZooError(f"class={type(model).__module__}.{kind} is somebody's own, and may compute something else.")
    config = config_of(json.loads(model.config.to_json_string(use_diff=False)), kind, where)

    def tensors(each: Any) -> State:
        return tensors_of(each.state_dict(), config)

    ours: Any = rebuild(model, config, tensors, _show(config), kind)
    ours.converted_from = kind
    return ours


def _show(config: dict[str, Any]) -> Any:
    """Shows a model two windows with values missing, and patches hidden where it fills them in; gives all that it says."""
    channels, lookback = config["channels"], config["lookback"]
    draw = torch.Generator().manual_seed(0)
    windows = torch.randn(2, lookback, channels, generator=draw)
    observed = torch.rand(2, lookback, channels, generator=draw) > 0.2

    def show(model: Any, like: Tensor) -> Tensor:
        past, mask = windows.to(like), observed.to(like.device)
        if config.get("masking"):
            cells = (2, channels, (lookback - config["patch"]) // config["stride"] + 1)
            hidden = (torch.rand(cells, generator=torch.Generator().manual_seed(1)) > 0.5).to(like.device)
            if hasattr(model, "reconstruct"):  # ours
                return model(past, past_observed_mask=mask, mask=hidden)
            with _hiding(model.model.masking, hidden):
                return model(past_values=past, past_observed_mask=mask).prediction_output
        out = model(past, past_observed_mask=mask)
        if hasattr(out, "prediction_outputs"):
            found = out.prediction_outputs
            return torch.stack(found) if isinstance(found, tuple) else found
        return out.mean if out.params is None else torch.stack(out.params)

    return show


@contextmanager
def _hiding(masking: Any, hidden: Tensor) -> Any:
    """Their masking hides these patches for a while, whatever it drew."""

    def hook(_: Any, given: tuple[Tensor], drawn: Any) -> tuple[Tensor, Tensor]:
        return given[0].masked_fill(hidden.unsqueeze(-1), masking.mask_value), hidden

    handle = masking.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
