"""Patterns that come with a batch: which keys are padding, and which documents share a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zoo.attention.patterns.base import Pattern, whole_number
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall


@dataclass(frozen=True, eq=False)
class Padding(Pattern):
    """Hides padded keys. `Padding(lengths [B])`: sample b has keys 0..lengths[b]-1; `Padding(mask [B, K])`: True = a key
    that may be attended. It hides keys only: rows of padded queries are computed. Like all patterns it goes by places: beside
    a cache, and where rows have places of their own, mask[b, p] is about the token at place p of row b."""

    lengths: Tensor | None = None
    mask: Tensor | None = None
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        for given in (self.lengths, self.mask):
            if given is not None and not isinstance(given, Tensor):
                raise ZooError(f"Padding takes a tensor, lengths [B] or a mask [B, K]; got {given!r}.")
        if self.lengths is not None and self.lengths.ndim == 2:  # given by position: a mask
            lengths, mask = self.mask, self.lengths
            object.__setattr__(self, "lengths", lengths)
            object.__setattr__(self, "mask", mask)
        if (self.lengths is None) == (self.mask is None):
            raise ZooError("Padding takes lengths [B] or a mask [B, K]: one of them.")
        if self.lengths is not None:
            whole_number("Padding(lengths)", self.lengths)
        if self.mask is not None and self.mask.dtype != torch.bool:
            raise ZooError(
                f"Padding's mask is boolean, True = may be attended; got {self.mask.dtype}: use mask.bool()."
            )

    def allowed(self, b, h, q, k):
        if self.lengths is not None:
            return k < self.lengths[b]
        assert self.mask is not None  # one of the two, by __post_init__
        return self.mask[b, k]  # an empty cache slot, place -1, is hidden anyway

    def check(self, call):
        B, K = call.q.shape[0], call.k.shape[2]
        if self.lengths is not None and self.lengths.shape != (B,):
            raise ZooError(f"Padding(lengths) needs one length a sample, [{B}]; got {list(self.lengths.shape)}.")
        if self.mask is not None and (self.mask.shape[0] != B or (not call.has_places and self.mask.shape[1] != K)):
            raise ZooError(f"Padding(mask) needs [B, K] = [{B}, {K}]; got {list(self.mask.shape)}.")
        if self.mask is not None:
            _reaches("Padding(mask)", self.mask, call)


@dataclass(frozen=True, eq=False)
class Documents(Pattern):
    """Equal ids see each other: several documents packed in one row. `ids`: integers [B, N] or [N], in any order; ids[b, p] is
    that of the token at place p of row b."""

    ids: Tensor

    def __post_init__(self):
        if not isinstance(self.ids, Tensor):
            raise ZooError(f"Documents takes a tensor of ids, [N] or [B, N]; got {self.ids!r}.")
        whole_number("Documents(ids)", self.ids)

    def allowed(self, b, h, q, k):
        return self.ids[q] == self.ids[k] if self.ids.ndim == 1 else self.ids[b, q] == self.ids[b, k]

    def check(self, call):
        B, K = call.q.shape[0], call.k.shape[2]
        sizes = [[K], [B, K], [1, K]] if B == 1 else [[K], [B, K]]
        with_cache = call.has_places and (self.ids.ndim == 1 or self.ids.shape[0] == B)
        if not with_cache and list(self.ids.shape) not in sizes:
            raise ZooError(f"Documents(ids) needs one id a key, [{K}] or [{B}, {K}]; got {list(self.ids.shape)}.")
        _reaches("Documents(ids)", self.ids, call)


def _reaches(name: str, given: Tensor, call: AttentionCall) -> None:
    """Raise ZooError where what is given for each place ends before the places that a cache holds."""
    if not call.has_places or torch.compiler.is_compiling() or call.k.is_cuda:  # a look would wait for the GPU,
        return  # where indexing itself refuses what lies outside
    held = call.k.shape[2] if call.k_pos is None else int(call.k_pos.max()) + 1 if call.k_pos.numel() else 0
    if held > given.shape[-1]:
        raise ZooError(f"{name} is {list(given.shape)}, but the cache holds {held} places: give one for each of them.")
