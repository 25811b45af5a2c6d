"""A model's config told as a table, and what a model takes."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.console import table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor, nn


def describe_model(name: str, config: Any, file: Path | None = None, trust: Sequence[str] = ()) -> "nn.Module":
    """Sizes, as given and as they come out. Returns the model, without weights.

    Args:
        name: the table's title.
        config: what the model is built from.
        file: where the config came in a file, that file: it is then checked as one (docs/criteria.md, A8).
        trust: packages that the file may name besides.
    """
    from zoo import construct, packages
    from zoo.checked import model as checked
    from zoo.config import locate
    from zoo.inspect.size import measure
    from zoo.inspect.words import sentence
    from zoo.models import Model
    from zoo.training.identity import flatten

    where, most = repr(str(file or name)), checked.Most(numbers=10**13, tensors=5000)
    tree = (
        construct.resolve(config, locate)
        if file is None
        else checked.resolve(config, where, most, trust=packages.checked(trust))
    )
    try:
        model = checked.sketch(tree, where, most)
    except construct.NotBuilt:  # a constructor that reads numbers; of the user's own code, or such as was trusted
        if file is not None and not trust:
            raise
        model = checked.build(tree, where)
    # The target's own defaults too: a name of the registry says only what differs.
    parameters = inspect.signature(tree.target).parameters.values()
    defaults = {p.name: p.default for p in parameters if isinstance(p.default, int | float | str)}
    whole = {**defaults, **config}
    side, channels = whole.get("img_size"), whole.get("in_chans")
    height, width = (side, side) if isinstance(side, int) else tuple(side or (None, None))
    rows = [("model", config["_target_"])]
    if said := sentence(model):
        rows.append(("score x pattern x position", said))
    rows.append(("parameters", f"{sum(parameter.numel() for parameter in model.parameters()):,}"))
    alone = getattr(model, "reads", ("image",)) == ("image",)  # an image is all that it takes
    if alone and channels and height and (flops := measure(model, (channels, height, width)).flops):
        rows.append(("operations", f"{_count(flops)}FLOPs for one image (2 a multiply-add)"))
    if isinstance(model, Model):
        rows += model.describe().items()
    told = ("attention.", "position.", "metadata.")  # in the rows above; what is off or null says nothing
    leaves = {key: value for key, value in flatten(whole).items() if value and not key.endswith("_")}
    rows += [(key, value) for key, value in leaves.items() if not key.startswith(told)]
    table(rows, name)
    return model


def _count(number: float) -> str:
    """Three digits and a prefix."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} T"


def check_answer(numbers: "Tensor", model: Any, run: str) -> None:
    """Refuse to show an answer that is not a numbers. Raises: ZooError."""
    if not numbers.isfinite().all():
        raise ZooError(
            f"The {type(model).__name__} of {run} answers NaN: its weights or settings are not those of a model."
        )
