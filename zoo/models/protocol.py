"""What models carry beside their weights, declared: on a plain nn.Module a type checker sees only tensors and modules."""

from typing import Any, Protocol, runtime_checkable

from zoo.preprocess import Preprocess


@runtime_checkable
class Model(Protocol):
    """What `zoo.build` sees to on every model; saved with it.

    config: plain, with a `_target_`, to build it from again. preprocess: how its inputs were prepared. classes: names of
    its outputs. The last two are None where nobody has told.
    """

    config: dict[str, Any]
    preprocess: Preprocess | None
    classes: tuple[str, ...] | None


@runtime_checkable
class OfPatches(Protocol):
    """A model whose tokens are patches of an image: grid = (rows, cols), after num_prefix_tokens others."""

    grid: tuple[int, int]
    num_prefix_tokens: int
