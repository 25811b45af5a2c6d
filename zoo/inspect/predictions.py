"""What a model says of images, and where it looked."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.attention import Attention, record_attention
from zoo.inspect.maps import PatchMaps, patch_maps
from zoo.models.base import ImageModel


class Prediction(NamedTuple):
    """probabilities: [B, classes]. maps: None without attention to patches."""

    probabilities: Tensor
    maps: PatchMaps | None


@torch.no_grad()
def predict(model: ImageModel, inputs: Tensor) -> Prediction:
    """Softmax of the logits of inputs [B, C, H, W], with the attention recorded beside it; both on the CPU."""
    like = next(model.parameters())
    inputs = inputs.to(like)
    model.eval()
    # forward, not a call: the plain model, also where the call is compiled, which a few images are not worth.
    attends = any(isinstance(module, Attention) for module in model.modules())
    if model.grid is None or not attends:
        return Prediction(model.forward(inputs).float().softmax(-1).cpu(), None)
    with record_attention(model) as recorded:
        logits = model.forward(inputs)
    runs = [run for each in recorded.values() for run in (each if isinstance(each, list) else [each])]
    weights = [run.float().cpu() for run in runs]
    keys = model.num_prefix_tokens + math.prod(model.grid)
    maps = None
    if any(layer.shape[-1] == keys for layer in weights):
        maps = patch_maps(weights, model.grid, model.num_prefix_tokens, model.has_class_token)
    return Prediction(logits.float().softmax(-1).cpu(), maps)
