"""Weights in int8: a step that reads every weight for one token is as fast as memory is, and that is a quarter to read."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.attention.linear import is_linear
from zoo.errors import ZooError, nearest

# From so many rows on a product of floating point numbers is faster, with the weights multiplied out for it.
MANY_ROWS = 16


class Int8Linear(nn.Module):
    """y = s * (W x) + b with W in int8 and a scale for each row of it, s_i = max_j |w_ij| / 127: an error of at most s_i / 2 in
    each weight. W x is a product in bfloat16, in which every int8 is exact, added up in float32. The names are those of the
    nn.Linear in whose place it stands. It is not trained.

    Args:
        linear: what it is made of.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        w = linear.weight.detach()
        scale = (w.float().abs().amax(1) / 127).to(
            torch.bfloat16
        )  # as the product takes it, so that its rounding is no error
        whole = w.float() / torch.where(scale == 0, 1, scale.float())[:, None]
        self.register_buffer("weight", whole.round().clamp(-127, 127).to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, half = x.numel() // self.in_features, x.to(torch.bfloat16)
        if rows < MANY_ROWS and x.device.type == "cpu":
            half = half.reshape(rows, self.in_features).contiguous()
            y = torch._weight_int8pack_mm(half, self.weight, self.scale).view(*x.shape[:-1], self.out_features)
        else:
            y = F.linear(half, self.weight.to(torch.bfloat16)) * self.scale
        y = y.to(x.dtype)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def quantize(model: nn.Module, how: str = "int8") -> Any:
    """A copy of the model for decoding, with smaller weights: int8 and a scale a row in every nn.Linear. What is multiplied
    with them is rounded to bfloat16; all else stays in the model's dtype.

    The copy shares with the model what is not quantised (embeddings, norms, biases), so it costs a quarter of float32's memory
    beside it. A head tied to the embedding gets its own whole numbers; the embedding stays, of which a token reads one row.

    Args:
        model: any; it stays as it is.
        how: "int8". For half the bits and nothing rounded by us, `model.to(torch.bfloat16)`.

    Raises: ZooError for another `how`, or a model without an nn.Linear.
    """
    if how != "int8":
        raise ZooError(f"Weights cannot be quantised to {how!r}; {nearest(str(how), ['int8'])}")
    linear = [each for each in model.modules() if is_linear(each)]
    if not linear:
        raise ZooError(f"{type(model).__name__} has no nn.Linear whose weights could be quantised.")
    kept = {id(x): x for x in (*model.parameters(), *model.buffers())}
    same = [getattr(model, role, None) for role in ("tokenizer", "source_tokenizer")]
    memo: dict[int, Any] = {**kept, **{id(each): Int8Linear(each) for each in linear}, **{id(t): t for t in same}}
    return copy.deepcopy(model, memo).eval()
