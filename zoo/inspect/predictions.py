"""What a model says of images, and where its last layer looked."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.attention import Attention, record_attention
from zoo.inspect.maps import patch_attention
from zoo.models.protocol import OfPatches


class Prediction(NamedTuple):
    """probabilities: [B, classes]. maps: [B, H, rows, cols] of the last layer; None without attention to patches."""

    probabilities: Tensor
    maps: Tensor | None


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor) -> Prediction:
    """Softmax of the logits of inputs [B, C, H, W], with the attention recorded beside it; both on the CPU."""
    like = next(model.parameters())
    inputs = inputs.to(like)
    model.eval()
    layers = [name for name, module in model.named_modules() if isinstance(module, Attention)]
    # forward, not a call: the plain model, also where the call is compiled, which a few images are not worth.
    if not layers or not isinstance(model, OfPatches):
        return Prediction(model.forward(inputs).float().softmax(-1).cpu(), None)
    last = layers[-1]
    with record_attention(model, only=last) as recorded:
        logits = model.forward(inputs)
    class_token = getattr(model, "cls_token", None) is not None
    maps = patch_attention(recorded[last].float(), model.grid, model.num_prefix_tokens, class_token)
    return Prediction(logits.float().softmax(-1).cpu(), maps.cpu())
