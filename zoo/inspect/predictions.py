"""What a model says of images, and where it looked."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.attention import Attention, record_attention
from zoo.inspect.maps import PatchMaps, patch_maps
from zoo.models.protocol import OfPatches


class Prediction(NamedTuple):
    """probabilities: [B, classes]. maps: None without attention to patches."""

    probabilities: Tensor
    maps: PatchMaps | None


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor) -> Prediction:
    """Softmax of the logits of inputs [B, C, H, W], with the attention recorded beside it; both on the CPU."""
    like = next(model.parameters())
    inputs = inputs.to(like)
    model.eval()
    # forward, not a call: the plain model, also where the call is compiled, which a few images are not worth.
    if not isinstance(model, OfPatches) or not any(isinstance(module, Attention) for module in model.modules()):
        return Prediction(model.forward(inputs).float().softmax(-1).cpu(), None)
    with record_attention(model) as recorded:
        logits = model.forward(inputs)
    class_token = getattr(model, "cls_token", None) is not None
    weights = [each.float().cpu() for each in recorded.values()]
    return Prediction(
        logits.float().softmax(-1).cpu(), patch_maps(weights, model.grid, model.num_prefix_tokens, class_token)
    )
