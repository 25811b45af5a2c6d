"""Weights as a step of one token reads them fastest on a CPU: column by column, the same numbers under the same names.

For one row x, y = W x adds up columns of W. Stored row by row, as in nn.Linear, each number of y is a sum along its own row,
which the libraries under torch do at half to two thirds of the memory's speed. So a reader keeps a second copy of the large
matrices, column by column, which stands in for the first while it reads a few rows. It is made once for a model, again where
its weights have changed, and not where memory is short.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

# Rows up to which columns are faster; smaller matrices lie in the processor's own memory; fewer steps are not worth a copy.
ROWS, NUMBERS, STEPS = 8, 2**14, 16
_made: WeakKeyDictionary[nn.Module, "Columns"] = WeakKeyDictionary()


class Columns:
    """The large float32 matrices of a model, column by column."""

    def __init__(self, linear: list[nn.Linear]):
        self.state = _state(linear)
        self.swaps = [(each._parameters, each.weight, _by_columns(each.weight)) for each in linear]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with these matrices; its own parameters are back afterwards."""
        for parameters, _, columns in self.swaps:
            parameters["weight"] = columns
        try:
            yield
        finally:
            for parameters, own, _ in self.swaps:
                parameters["weight"] = own


def columns_of(model: nn.Module, rows: int, steps: int) -> Columns | None:
    """Those of a model that will read `rows` rows `steps` times; None where that is not faster."""
    if rows > ROWS or (steps < STEPS and model not in _made):
        return None
    linear = [each for each in model.modules() if type(each) is nn.Linear and _gains(each.weight)]
    if model in _made and _made[model].state == _state(linear):
        return _made[model]
    _made.pop(model, None)
    if not linear or 2 * sum(each.weight.nbytes for each in linear) > _free_memory():
        return None
    _made[model] = Columns(linear)
    return _made[model]


def _gains(w: Tensor) -> bool:
    return w.device.type == "cpu" and w.dtype == torch.float32 and w.numel() >= NUMBERS and not w.is_inference()


def _by_columns(w: Tensor) -> nn.Parameter:
    return nn.Parameter(w.detach().t().contiguous().t(), requires_grad=False)


def _state(linear: list[nn.Linear]) -> list[Any]:
    """What changes with the weights."""
    return [(id(each), each.weight.data_ptr(), each.weight._version) for each in linear]


def _free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system: nobody knows
        return float("inf")
