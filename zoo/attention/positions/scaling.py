"""Scalings of RoPE: how a model trained on short texts turns its pairs on longer ones.

RoPE turns pair i by pos * f_i, f_i = base^(-2i/D), a full turn every 2 pi / f_i places. A scaling changes the f_i: those of
pairs that turn slowly, which never made a full turn in training, are divided by `factor`, so that all angles were seen.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.errors import ZooError, nearest


@dataclass(frozen=True)
class Scaling:
    """Base class: `apply` changes frequencies, `gain` multiplies what was turned (q and k alike)."""

    factor: float

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) in (int, float) and not 0 < value < math.inf:
                raise ZooError(f"scaling.{field.name}={value} of RoPE must be a number above 0.")
            if value is not None and type(value) not in (int, float, bool):
                raise ZooError(f"scaling.{field.name}={value!r:.80} of RoPE is not a number.")

    @property
    def gain(self) -> float:
        return 1.0

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        """Frequencies [D/2] in the order of their pairs -> the same, scaled."""
        raise NotImplementedError(f"{type(self).__name__} is a scaling without `apply`: define it.")


@dataclass(frozen=True)
class Linear(Scaling):
    """All divided by `factor`: places lie closer (Chen et al. 2023, position interpolation)."""

    kind = "linear"

    def apply(self, frequency, base):
        return frequency / self.factor


@dataclass(frozen=True)
class Llama3(Scaling):
    """Divided where a turn is longer than length / low_freq_factor, kept where it is shorter than length / high_freq_factor,
    between them by a line in length / turn (Llama 3.1; length = original_max_position_embeddings)."""

    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: float = 8192

    kind = "llama3"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.high_freq_factor <= self.low_freq_factor:
            raise ZooError(f"scaling of RoPE: high_freq_factor must be above low_freq_factor; got {self}.")

    def apply(self, frequency, base):
        turns = self.original_max_position_embeddings * frequency / (2 * math.pi)
        kept = ((turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)).clamp(0, 1)
        return (1 - kept) * frequency / self.factor + kept * frequency


@dataclass(frozen=True)
class Yarn(Scaling):
    """Divided for pairs that turn less than beta_slow times in the trained length, kept for those that turn more than beta_fast
    times, between them by a line in the pair's number; and what was turned is multiplied by `gain`. Peng et al. 2023 (YaRN).

    attention_factor: the gain; None for 0.1 ln(factor) + 1, or where mscale and mscale_all_dim are given, the quotient of the
    two with the logarithm multiplied by each. truncate: whether the line begins and ends at whole pairs.
    """

    original_max_position_embeddings: float = 4096
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True

    kind = "yarn"

    @property
    def gain(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        log = 0.1 * math.log(self.factor) if self.factor > 1 else 0.0
        if self.mscale and self.mscale_all_dim:
            return (self.mscale * log + 1) / (self.mscale_all_dim * log + 1)
        return log + 1

    def apply(self, frequency, base):
        half = frequency.shape[-1]

        def pair(turns: float) -> float:  # the pair that turns so many times in the trained length
            return half * math.log(self.original_max_position_embeddings / (turns * 2 * math.pi)) / math.log(base)

        low, high = pair(self.beta_fast), pair(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, 2 * half - 1)
        ramp = torch.arange(half, device=frequency.device, dtype=frequency.dtype) - low
        divided = (ramp / (high - low if high != low else 0.001)).clamp(0, 1)
        return divided * frequency / self.factor + (1 - divided) * frequency


KINDS: dict[str, type[Scaling]] = {each.kind: each for each in (Linear, Llama3, Yarn)}


def scaling_of(given: Scaling | Mapping[str, Any] | None) -> Scaling | None:
    """A scaling of its plain form, {"type": "linear", "factor": 4.0}; None for none.

    Raises: ZooError for another type or key (the nearest is named), or a number that cannot be.
    """
    if given is None or isinstance(given, Scaling):
        return given
    if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
        raise ZooError(f"scaling={given!r:.80} of RoPE is no scaling: give {{type: linear, factor: 4}}, null for none.")
    if given["type"] not in KINDS:
        raise ZooError(f"scaling.type={given['type']!r:.80} of RoPE is unknown; {nearest(given['type'], KINDS)}")
    kind = KINDS[given["type"]]
    numbers = {key: value for key, value in given.items() if key != "type"}
    fields = [field.name for field in dataclasses.fields(kind)]
    if unknown := [key for key in numbers if key not in fields]:
        raise ZooError(
            f"scaling.{unknown[0]:.80} is not a setting of RoPE's {kind.kind}; {nearest(unknown[0], fields)}"
        )
    if "factor" not in numbers:
        raise ZooError(f"scaling={given!r:.80} of RoPE does not say its factor.")
    return kind(**numbers)
