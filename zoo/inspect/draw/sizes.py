"""The sizes of the example that a part is drawn on."""

from dataclasses import dataclass
from typing import Any

from zoo.errors import ZooError


@dataclass(frozen=True)
class Sizes:
    """n tokens; heads of width head_dim; `prefix` tokens (class, registers) before the grid of a 2-D position."""

    n: int = 16
    heads: int = 4
    head_dim: int = 32
    prefix: int = 0
    seed: int = 0

    def __post_init__(self):
        for name, least in (("n", 2), ("heads", 1), ("head_dim", 1), ("prefix", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ZooError(f"{name}={getattr(self, name)} is too small to draw; give {least} or more.")

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, cols) of n cells, as square as n allows."""
        rows = next(r for r in range(int(self.n**0.5), 0, -1) if self.n % r == 0)
        return rows, self.n // rows

    @property
    def facts(self) -> dict[str, Any]:
        """What `zoo.attention.parts.build` may hand to a part."""
        return {
            "dim": self.heads * self.head_dim, "num_heads": self.heads, "num_kv_heads": self.heads,
            "head_dim": self.head_dim, "grid": self.grid, "length": self.n + self.prefix, "prefix": self.prefix,
        }  # fmt: skip
