"""A Linear with adapters on some of its rows."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.adapters.parts import Part
from zoo.attention.linear import Linear


class AdaptedLinear(Linear):
    """y = W x + b, and y_rows += part(x, y_rows) for each part, on rows of its own (q and v of a fused matrix).

    A Linear becomes one in place, by `adapted`, and is a Linear again after `plain`. So the weight and the bias keep their
    names and stay the tensors that they were: a tied weight stays tied, a map that two modules share is adapted once, hooks
    stay, the state dict of the backbone is the one that it was (`zoo.save`, `no_weight_decay`, `layer_groups` and old
    checkpoints go by names), and the parts stand beside it as `adapters.<name>.a` and `.b`.

    Not by torch.nn.utils.parametrize: there the weight becomes `parametrizations.weight.original`, a whole W + B A is made
    in every step and kept for the backward pass, dropout on the input cannot be said, nor a bottleneck. Not by a module
    around the Linear: all names below it would change.
    """

    adapters: nn.ModuleDict
    rows: dict[str, tuple[int, int]]  # of each part
    _sizes: list[int]  # of the runs of rows, adapted or not
    _touched: list[tuple[int, str]]  # which of them has which part
    _was: type[nn.Linear]  # before

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        pieces = list(y.split(self._sizes, -1))
        for i, name in self._touched:
            pieces[i] = pieces[i] + cast(Part, self.adapters[name])(x, pieces[i])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1)


def adapted(linear: nn.Linear, parts: Iterable[tuple[str, int, int, Part]]) -> None:
    """Put parts on a Linear: (name, start, stop, part) each, in the order of their rows, none over another.

    They come to the weight's device and dtype, in its mode of training.
    """
    was, linear.__class__ = type(linear), AdaptedLinear
    given = sorted(parts, key=lambda part: part[1])
    linear.adapters = nn.ModuleDict({name: part for name, _, _, part in given})
    linear.adapters.to(linear.weight.device, linear.weight.dtype).train(linear.training)
    layout: dict[str, tuple[int, int]] = {}
    sizes, touched, at = [], [], 0
    for name, start, stop, _ in given:
        layout[name] = (start, stop)
        if start > at:
            sizes.append(start - at)
        touched.append((len(sizes), name))
        sizes.append(stop - start)
        at = stop
    if at < linear.out_features:
        sizes.append(linear.out_features - at)
    made: Any = linear
    made.rows, made._sizes, made._touched, made._was = layout, sizes, touched, was


def plain(linear: nn.Linear) -> None:
    """The Linear again, without its parts."""
    del linear.adapters
    linear.__class__ = cast(AdaptedLinear, linear)._was
    for name in ("rows", "_sizes", "_touched", "_was"):
        delattr(linear, name)
