"""Which token comes next: the logits of the last position -> a distribution -> a token.

    p = softmax(z / temperature) over what top_k, top_p and min_p leave of the vocabulary

    repetition    z_v -> z_v / penalty where z_v > 0, else z_v penalty, for tokens that were there Keskar et al. 2019, sec. 4.1
    top_k         the k likeliest                                                                Fan et al. 2018, sec. 5.1
    top_p         the smallest set of the likeliest whose mass is at least p                     Holtzman et al. 2020, sec. 3.1
    min_p         those at least min_p times as likely as the likeliest                          Nguyen et al. 2024

They act in this order, behind suppress_tokens (never), temperature after repetition, as in transformers.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError

# The likeliest that top_p looks at before it sorts the whole vocabulary: they nearly always hold the mass.
FIRST = 512


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen. Scores are [B, V]; temperature 0 is greedy.

    Raises: ZooError for values that mean nothing.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    suppress_tokens: tuple[int, ...] = ()

    def __post_init__(self):
        _within("temperature", self.temperature, self.temperature >= 0, "at least 0 (0: the likeliest token)")
        _within("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0, "above 0 (1: none)")
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise ZooError(f"top_k is a number of tokens, at least 1, or None for all; got {self.top_k!r}.")
        if self.top_p is not None:
            _within("top_p", self.top_p, 0 < self.top_p <= 1, "in (0, 1] (1: all)")
        if self.min_p is not None:
            _within("min_p", self.min_p, 0 <= self.min_p <= 1, "in [0, 1] (0: all)")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    @property
    def remembers(self) -> bool:
        """Whether it asks which tokens were there."""
        return self.repetition_penalty != 1

    def penalised(self, scores: Tensor, seen: Tensor | None) -> Tensor:
        """Scores with the penalty on `seen` [B, V] bool, and -inf for what is never said."""
        if self.suppress_tokens:
            scores = scores.clone()
            scores[..., list(self.suppress_tokens)] = -torch.inf
        if not self.remembers or seen is None:
            return scores
        worse = torch.where(scores > 0, scores / self.repetition_penalty, scores * self.repetition_penalty)
        return torch.where(seen, worse, scores)

    def probabilities(self, scores: Tensor, seen: Tensor | None = None) -> Tensor:
        """[B, V] logits -> [B, V] in float64, what a token is drawn from; greedy: 1 at the likeliest."""
        scores = self.penalised(scores, seen)
        if self.greedy:
            return torch.zeros_like(scores, dtype=torch.float64).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)
        # the largest is 0 before it is divided: no temperature is too small
        scores = (scores.double() - scores.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            scores = scores.masked_fill(scores < scores.topk(self.top_k).values[..., -1:], -torch.inf)
        p = scores.softmax(-1)
        if self.top_p is not None and self.top_p < 1:
            p = _nucleus(p, self.top_p)
            p = p / p.sum(-1, keepdim=True)
        if self.min_p:
            p = p.masked_fill(p < self.min_p * p.amax(-1, keepdim=True), 0)
            p = p / p.sum(-1, keepdim=True)
        return p


def _within(name: str, value: Any, holds: bool, where: str) -> None:
    if not holds or not math.isfinite(value):
        raise ZooError(f"{name} is {where}; got {value}.")


def _nucleus(p: Tensor, mass: float) -> Tensor:
    """p [B, V], 0 outside the smallest set of the likeliest that holds `mass`."""
    first = min(FIRST, p.shape[-1])
    value, index = p.topk(first)
    if first < p.shape[-1] and bool((value.sum(-1) < mass).any()):
        value, index = p.sort(dim=-1, descending=True, stable=True)
    before = value.cumsum(-1) - value
    return torch.zeros_like(p).scatter_(-1, index, value.masked_fill(before >= mass, 0))


class Draws:
    """Random numbers for each row: row r of seed s has those of a batch of one with seed s + r.

    seed None: one drawn from torch's own generator, so that torch.manual_seed decides.
    """

    def __init__(self, seed: int | None, batch: int):
        if seed is None:
            seed = int(torch.randint(2**62, ()))
        if type(seed) is not int:
            raise ZooError(f"seed is a whole number or None; got {seed!r}.")
        self.generators = [torch.Generator().manual_seed(seed + row) for row in range(batch)]

    def uniform(self, device: torch.device | str = "cpu") -> Tensor:
        """The next number of each row, [B] float64 in [0, 1)."""
        drawn = [torch.rand((), generator=each, dtype=torch.float64) for each in self.generators]
        return torch.stack(drawn).to(device, non_blocking=True)

    def token(self, p: Tensor) -> Tensor:
        """p [B, V] float64, up to a factor -> [B]: the first token at which the sum of p passes a uniform number's share."""
        total = p.cumsum(-1)
        share = self.uniform(p.device)[:, None] * total[:, -1:]
        return torch.searchsorted(total, share, right=True).clamp(max=p.shape[-1] - 1)[:, 0]


def wide(scores: Tensor) -> Tensor:
    """Scores in which exponentials and sums are taken: at least float32."""
    return scores if scores.dtype == torch.float64 else scores.float()


def logprob_of(token: Tensor, scores: Tensor) -> Tensor:
    """[B]: the logarithm of the softmax of scores [B, V] at token [B]."""
    return scores.log_softmax(-1).gather(-1, token[:, None])[:, 0]
