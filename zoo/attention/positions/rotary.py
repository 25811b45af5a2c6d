"""RoPE: queries and keys are turned by angles in proportion to their places, so q.k depends on the distance alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.attention.positions.base import Position
from zoo.attention.positions.scaling import Scaling, scaling_of
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class RoPE(Position):
    """(x_2i, x_2i+1) turned by pos * base^(-2i/D). Su et al. 2021, section 3.2.2.

    Angles and the turn itself are computed in float32 or wider, whatever the model's dtype (C8).

    Args:
        head_dim: width of a head.
        base: of the frequencies; above 1.
        halves: pairs are (x_i, x_i+D/2) instead, as in Llama and GPT-NeoX checkpoints: the same up to a permutation of
            the width.
        part: the part of the width that is turned, its beginning; D is then that part (GPT-NeoX, Phi).
        scaling: for texts longer than those of the training, {"type": "linear" | "llama3" | "yarn", "factor": ..., ...} with
            the usual names, see zoo/attention/positions/scaling.py.

    Raises:
        ZooError: a width that is odd, a part that is no whole number of pairs, a scaling that is none.
    """

    def __init__(
        self,
        head_dim: int,
        base: float = 10000.0,
        halves: bool = False,
        part: float = 1.0,
        scaling: Scaling | Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if head_dim % 2:
            raise ZooError(f"RoPE turns pairs: head_dim must be even; got {head_dim}.")
        width = round(head_dim * part)
        if not 0 < part <= 1 or width % 2 or not width or abs(width - head_dim * part) > 1e-6:
            raise ZooError(f"RoPE turns pairs: part={part} of head_dim={head_dim} is no even number of them.")
        if not base > 1:
            raise ZooError(f"RoPE turns by powers of base, which must be above 1; got {base}.")
        self.head_dim, self.base, self.halves, self.width, self.scaling = (
            head_dim,
            base,
            halves,
            width,
            scaling_of(scaling),
        )
        self._known: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __getstate__(self):
        return {**self.__dict__, "_known": {}}

    def frequencies(self, like: Tensor) -> Tensor:
        """[D/2]: the angle of each pair from one place to the next, on the device of `like`, in float32 or wider."""
        if torch.compiler.is_compiling() or like.device.type == "meta":
            return self._frequencies(like)
        key = _wide(like), like.device
        if key not in self._known:  # for one token, to make them takes as long as to turn by them
            with torch.inference_mode(False):  # what is kept serves training too (E11)
                self._known[key] = self._frequencies(like)
        return self._known[key]

    def _frequencies(self, like: Tensor) -> Tensor:
        exponent = torch.arange(0, self.width, 2, device=like.device, dtype=_wide(like)) / self.width
        frequency = self.base**-exponent
        return frequency if self.scaling is None else self.scaling.apply(frequency, self.base)

    def rotate(self, x, pos):
        return self._turn(x, *self._waves(x, pos))

    def rotate_both(self, q, k, pos):
        if type(self).rotate is not RoPE.rotate or q.dtype != k.dtype:
            return super().rotate_both(q, k, pos)
        waves = self._waves(q, pos)  # the same for both
        return self._turn(q, *waves), self._turn(k, *waves)

    def _waves(self, like: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        angle = pos.to(_wide(like)).unsqueeze(-1) * self.frequencies(like)
        return waves(angle, self.halves, 1.0 if self.scaling is None else self.scaling.gain)

    def _turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if self.width == self.head_dim:
            return turn(x, cos, sin, self.halves)
        return torch.cat([turn(x[..., : self.width], cos, sin, self.halves), x[..., self.width :]], -1)


def apply_rotary(x: Tensor, angle: Tensor, halves: bool = False, gain: float = 1.0) -> Tensor:
    """Turn pairs of x [B, H, N, D] by angle [N, D/2] or [B, N, D/2], and multiply by gain."""
    return turn(x, *waves(angle, halves, gain), halves)


def waves(angle: Tensor, halves: bool, gain: float) -> tuple[Tensor, Tensor]:
    """cos and -+sin of each entry's angle, [N, D] or [B, 1, N, D]: (a, b) becomes (a, b) cos + (b, a) (-sin, +sin)."""
    if angle.ndim == 3:
        angle = angle.unsqueeze(1)  # a place for each sample, the same for all heads
    cos, sin = angle.cos(), angle.sin()
    if gain != 1.0:
        cos, sin = gain * cos, gain * sin
    if halves:
        return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)
    return torch.stack([cos, cos], -1).flatten(-2), torch.stack([-sin, sin], -1).flatten(-2)


def turn(x: Tensor, cos: Tensor, sin: Tensor, halves: bool) -> Tensor:
    """x [B, H, N, D] with each pair turned, in the dtype of the waves or wider."""
    wide = x.to(cos.dtype)
    if halves:
        a, b = wide.chunk(2, -1)
        other = torch.cat([b, a], -1)
    else:
        other = wide.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(wide * cos, other, sin).to(x.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
