"""Weights as a CPU multiplies few rows with them fastest: a second copy of the large matrices in another order.

A step reads every weight for a row or two, so it is as fast as the weights come from memory, and nn.Linear's order,
row by row, is not what the libraries under torch read fastest. In blocks, as oneDNN packs them, the product of 1 to
640 rows takes about half the time (float32 on an AMD EPYC, one thread). That call costs 10 us more, and more again
where it wakes a second thread, so for one row all but the largest matrices are laid out column by column, which takes
two thirds. So a reader keeps such copies, whose modules stand in for the nn.Linear while few rows are read and are
gone after it. They are made once for a model, again where its weights have changed, and not where memory is short.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import Tensor, nn

from zoo.attention.linear import is_linear

# Rows up to which another order is faster; smaller matrices lie in the processor itself; fewer steps are not worth a copy.
ROWS, NUMBERS, STEPS = 1024, 2**14, 16
# Numbers in a matrix from which on blocks are faster for one row too.
LARGE = 2**23
_made: WeakKeyDictionary[nn.Module, "Packed"] = WeakKeyDictionary()
_by_number: WeakValueDictionary[int, "PackedLinear"] = WeakValueDictionary()
_numbers = count()


class PackedLinear(nn.Module):
    """y = W x + b for few rows x, with the weight of an nn.Linear in blocks."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.blocks = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        number = next(_numbers)
        self.number, _by_number[number] = torch.tensor(number), self

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # which cannot look into a packed tensor: it goes by the number
            return _product(x, self.number, self.out_features)
        return torch.ops.mkldnn._linear_pointwise(x, self.blocks, self.bias, "none", [], "")


@torch.library.custom_op("zoo::packed_product", mutates_args=())
def _product(x: Tensor, number: Tensor, out_features: int) -> Tensor:
    return _by_number[int(number)](x)


@_product.register_fake
def _(x, number, out_features):
    return x.new_empty(*x.shape[:-1], out_features)


def in_columns(linear: nn.Linear) -> nn.Linear:
    """The same map with its weight column by column."""
    made = copy.copy(linear)
    made._parameters = dict(linear._parameters)
    made.weight = nn.Parameter(linear.weight.detach().t().contiguous().t(), requires_grad=False)
    return made


class Packed:
    """The large matrices of a model, packed for one row or for several."""

    def __init__(self, places: list[tuple[dict[str, Any], str]], rows: int):
        self.state = _state(places, rows)
        self.swaps = [(modules, name, modules[name], self._made(modules[name], rows)) for modules, name in places]

    @staticmethod
    def _made(linear: nn.Linear, rows: int) -> nn.Module:
        small = rows == 1 and linear.weight.dtype == torch.float32 and linear.weight.numel() < LARGE
        return in_columns(linear) if small else PackedLinear(linear)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with these matrices; its own modules are back afterwards."""
        for modules, name, _, packed in self.swaps:
            modules[name] = packed
        try:
            yield
        finally:
            for modules, name, own, _ in self.swaps:
                modules[name] = own


def packed_of(model: nn.Module, rows: int, steps: int, but: nn.Module | None = None) -> Packed | None:
    """Those of a model that will read `rows` rows `steps` times; None where that is not faster.

    Args:
        but: a part that reads other things than rows of tokens, such as an encoder of images.
    """
    if rows > ROWS or (steps < STEPS and model not in _made) or torch.is_autocast_enabled("cpu"):
        return None  # under autocast what is read is of another type than the weights
    left_out = set() if but is None else set(but.modules())
    places: list[tuple[dict[str, Any], str]] = [
        (parent._modules, name)
        for parent in model.modules()
        if parent not in left_out
        for name, each in parent._modules.items()
        if is_linear(each) and _gains(each)
    ]
    if model in _made and _made[model].state == _state(places, rows):
        return _made[model]
    _made.pop(model, None)
    if not places or 2 * sum(modules[name].weight.nbytes for modules, name in places) > _free_memory():
        return None
    _made[model] = Packed(places, rows)
    return _made[model]


def _gains(linear: nn.Linear) -> bool:
    w, hooked = linear.weight, linear._forward_hooks or linear._forward_pre_hooks
    if (
        w.device.type != "cpu"
        or w.numel() < NUMBERS
        or w.is_inference()
        or hooked
        or not torch.backends.mkldnn.is_available()
    ):
        return False
    return w.dtype == torch.float32 or (w.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _state(places: list[tuple[dict[str, Any], str]], rows: int) -> list[Any]:
    """What changes with the weights, or what they are for (blocks are of a size that suits so many threads)."""
    linear = [modules[name] for modules, name in places]
    return [rows == 1, torch.get_num_threads()] + [
        (id(each), each.weight.data_ptr(), each.weight._version, id(each.bias)) for each in linear
    ]


def _free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system: nobody knows
        return float("inf")
