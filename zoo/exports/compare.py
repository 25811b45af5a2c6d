"""Whether an export says what ours says."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.exports import TOLERANCE
from zoo.exports.served import Served, Tensors


@torch.no_grad()
def largest_difference(ours: Served, theirs: Callable[[Tensors], Mapping[str, Tensor]], seed: int = 0) -> float:
    """The largest difference of any output at all sizes that are compared, relative where outputs are above 1.

    Raises: ZooError where the export cannot be run at one of them, has other outputs, or differs by more than TOLERANCE.
    """
    worst = 0.0
    for i, sizes in enumerate(ours.compared):
        inputs = ours.draw(sizes, seed + i)
        wanted, here = ours(**inputs), words(ours, inputs)
        try:
            found = theirs(inputs)
        except Exception as error:  # of whatever engine runs it
            reason = " ".join(str(error).split())[:300]
            raise ZooError(f"The exported model does not run at {here}, so it is not kept: {reason}") from error
        if list(found) != list(wanted):
            raise ZooError(
                f"The exported model gives {', '.join(found)}, and ours {', '.join(wanted)}: it is not kept."
            )
        each = {name: difference(wanted[name], found[name]) for name in wanted}
        name = max(each, key=lambda name: each[name])
        if not each[name] <= TOLERANCE:
            raise ZooError(
                f"The exported model's {name} differs from ours by {each[name]:.3g} at {here}, more than "
                f"{TOLERANCE:g}: it is not kept."
            )
        worst = max(worst, each[name])
    return worst


def difference(a: Tensor, b: Tensor) -> float:
    """max |a - b| over max(1, max |a|); infinite for other shapes, or numbers that are none."""
    if a.shape != b.shape:
        return float("inf")
    apart = ((a.double() - b.double()).abs().max() / a.double().abs().max().clamp(min=1)).item() if a.numel() else 0.0
    return apart if apart == apart else float("inf")


def words(served: Served, inputs: Tensors) -> str:
    """batch 3, length 24."""
    return ", ".join(f"{name} {count}" for name, count in served.counted(inputs).items())


def at(served: Served) -> str:
    """All sizes that are compared, in words."""
    return "; ".join(words(served, served.draw(sizes)) for sizes in served.compared)
