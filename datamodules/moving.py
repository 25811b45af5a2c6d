"""Batches that are dataclasses of tensors: how they go to another device."""

from dataclasses import fields
from typing import Any, Self

from torch import Tensor


class Moving:
    """Beside a dataclass: its tensors go to a device, or into pinned memory; what else it holds stays."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same on another device."""
        return self._each("to", *args, **kwargs)

    def pin_memory(self) -> Self:
        """The same in pinned memory."""
        return self._each("pin_memory")

    def _each(self, verb: str, *args: Any, **kwargs: Any) -> Self:
        this: Any = self
        found = {each.name: getattr(self, each.name) for each in fields(this)}
        moved = {
            name: getattr(value, verb)(*args, **kwargs) if isinstance(value, Tensor) else value
            for name, value in found.items()
        }
        return type(self)(**moved)
