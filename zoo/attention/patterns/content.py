"""Patterns that choose keys by their content, once the logits are known."""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch

from zoo.attention.patterns.base import And, Full, Pattern, whole_number
from zoo.declared import declared

Choice = TypeVar("Choice", bound=Pattern)


@declared
@dataclass(frozen=True)
class TopK(Pattern):
    """The k keys of highest logit: each query of each head sees these alone, of those that the rest of the pattern allows.

    Gupta et al. 2021, section 2; Zhao et al. 2019. Which keys are chosen has no gradient.
    """

    k: int
    uses_query: ClassVar[bool] = False

    def __post_init__(self):
        whole_number("TopK(k)", self.k, least=1)

    def allowed(self, b, h, q, k):
        return (k == k) & (q == q)

    def edit(self, logits, call):
        best = logits.topk(min(self.k, logits.shape[-1]), -1).indices
        chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, best, True)
        return logits.masked_fill(~chosen, -torch.inf)

    def edit_segments(self, logits, ptr, segment):
        order = logits.argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, segment[order].argsort(dim=1, stable=True))  # by target, then from the highest logit
        rank = torch.arange(logits.shape[1], device=logits.device) - ptr[segment]
        chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, order, (rank < self.k).expand_as(logits))
        return logits.masked_fill(~chosen, -torch.inf)


def choice_and_rest(pattern: Pattern, kind: type[Choice]) -> tuple[Choice, Pattern] | None:
    """(the choice, the index pattern that it is AND-ed to) of a pattern whose only choice by content is of that kind; None
    of any other."""
    if isinstance(pattern, kind):
        return pattern, Full()
    if not pattern.by_content or not isinstance(pattern, And) or (pattern.left.by_content and pattern.right.by_content):
        return None
    found = choice_and_rest(pattern.left if pattern.left.by_content else pattern.right, kind)
    other = pattern.right if pattern.left.by_content else pattern.left
    return found and (found[0], found[1] & other)
