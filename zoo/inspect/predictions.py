"""What a model says of images, and where it looked."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.attention import Attention, record_attention
from zoo.inspect.maps import PatchMaps, patch_maps
from zoo.models.base import ImageModel, Model


class Prediction(NamedTuple):
    """outputs: [B, n], as the model gives them. maps: None without attention to patches."""

    outputs: Tensor
    maps: PatchMaps | None

    @property
    def probabilities(self) -> Tensor:
        """Of one class each: the softmax of the outputs."""
        return self.outputs.softmax(-1)


@torch.no_grad()
def predict(model: ImageModel, inputs: Tensor) -> Prediction:
    """What a model gives for inputs [B, C, H, W], with the attention recorded beside it; both on the CPU."""
    like = next(model.parameters())
    inputs = inputs.to(like)
    model.eval()
    # forward, not a call: the plain model, also where the call is compiled, which a few images are not worth.
    attends = any(isinstance(module, Attention) for module in model.modules())
    if model.grid is None or not attends:
        return Prediction(model.forward(inputs).float().cpu(), None)
    with record_attention(model) as recorded:
        logits = model.forward(inputs)
    runs = [run for each in recorded.values() for run in (each if isinstance(each, list) else [each])]
    weights = [run.float().cpu() for run in runs]
    keys = model.num_prefix_tokens + math.prod(model.grid)
    maps = None
    if any(layer.shape[-1] == keys for layer in weights):
        maps = patch_maps(weights, model.grid, model.num_prefix_tokens, model.has_class_token)
    return Prediction(logits.float().cpu(), maps)


@torch.no_grad()
def outputs_of(model: ImageModel, inputs: Tensor) -> Tensor:
    """What a model gives for inputs [B, C, H, W], on the CPU; nothing is recorded."""
    return model.eval().forward(inputs.to(next(model.parameters()))).float().cpu()


def told(outputs: Tensor, model: Model, top: int, targets: str | None = None) -> list[list[tuple[str, str]]]:
    """For each row of outputs [B, n] (name, figure) pairs: the `top` classes in per cent, or, of numbers, each of them.

    Args:
        outputs: as the model gives them.
        model: its `classes` and `targets` say what they are.
        top: how many classes.
        targets: in place of the model's.
    """
    targets, n = targets or model.targets, outputs.shape[-1]
    names = model.classes or tuple(map(str, range(n)))
    if targets == "numbers":
        called = ["number"] if n == 1 else [f"number {name}" for name in names]
        return [[(name, f"{value:.4g}") for name, value in zip(called, row, strict=True)] for row in outputs.tolist()]
    shares, places = (outputs.sigmoid() if targets == "labels" else outputs.softmax(-1)).topk(min(top, n))
    pairs = zip(shares.tolist(), places.tolist(), strict=True)
    return [[(names[i], f"{100 * share:.1f} %") for share, i in zip(*pair, strict=True)] for pair in pairs]
