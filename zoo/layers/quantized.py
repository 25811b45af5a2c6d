"""Weights in int8: a step that reads every weight for one token is as fast as memory is, and that is a quarter to read."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import ZooError, nearest

# From so many rows on a product of floating point numbers is faster, with the weights multiplied out for it.
MANY_ROWS = 16


class Int8Linear(nn.Module):
    """y = s * (W x) + b with W in int8 and a scale for each row of it, s_i = max_j |w_ij| / 127: an error of at most s_i / 2 in
    each weight. The names are those of the nn.Linear in whose place it stands. It is not trained.

    Args:
        linear: what it is made of.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        w = linear.weight.detach()
        scale = w.float().abs().amax(1) / 127
        whole = (w.float() / torch.where(scale == 0, 1, scale)[:, None]).round().to(torch.int8)
        self.register_buffer("weight", whole)
        self.register_buffer("scale", scale.to(w.dtype))
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // self.in_features
        if rows < MANY_ROWS and x.device.type == "cpu":
            y = torch._weight_int8pack_mm(x.reshape(rows, self.in_features), self.weight, self.scale.to(x.dtype))
            y = y.view(*x.shape[:-1], self.out_features)
            return y if self.bias is None else y + self.bias
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype)[:, None], self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def quantize(model: nn.Module, how: str = "int8") -> Any:
    """A copy of the model for decoding, with smaller weights: int8 and a scale a row in every nn.Linear. The activations stay
    as they are.

    The copy shares with the model what is not quantised (embeddings, norms, biases), so it costs a quarter of float32's memory
    beside it. A head tied to the embedding gets its own whole numbers; the embedding stays, of which a token reads one row.

    Args:
        model: any; it stays as it is.
        how: "int8". For half the bits and nothing rounded by us, `model.to(torch.bfloat16)`.

    Raises: ZooError for another `how`, or a model without an nn.Linear.
    """
    if how != "int8":
        raise ZooError(f"Weights cannot be quantised to {how!r}; {nearest(str(how), ['int8'])}")
    linear = [each for each in model.modules() if type(each) is nn.Linear]
    if not linear:
        raise ZooError(f"{type(model).__name__} has no nn.Linear whose weights could be quantised.")
    kept = {id(x): x for x in (*model.parameters(), *model.buffers())}
    tokenizer = getattr(model, "tokenizer", None)
    memo: dict[int, Any] = {**kept, **{id(each): Int8Linear(each) for each in linear}, id(tokenizer): tokenizer}
    return copy.deepcopy(model, memo).eval()
