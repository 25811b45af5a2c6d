"""The linear map of attention and of what stands around it."""

from typing import TypeGuard

from torch import Tensor, nn

from zoo.attention.ops.product import linear


class Linear(nn.Linear):
    """torch.nn.Linear, y = W x + b, whose float32 products on a CPU are oneDNN's, see `zoo.attention.ops.product`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def is_linear(module: object) -> TypeGuard[nn.Linear]:
    """Whether it computes W x + b and nothing else: what a further subclass computes is its own business."""
    return type(module) in (nn.Linear, Linear)
