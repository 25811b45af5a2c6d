"""Where an answer begins and ends: from what a model says of each token to the best span of a context."""

import torch
from torch import Tensor


def span_logits(logits: Tensor, places: Tensor) -> Tensor:
    """Logits of the tokens of the context alone, each once, whatever windows it stands in.

    Args:
        logits: [R, N, 2] of all tokens of the rows; for the beginning of an answer, and for its end.
        places: [B, L] long, of each token of a context its index into the R N, -1 behind its end.

    Returns: [B, L, 2], -inf where there is no token.
    """
    found = logits.flatten(0, 1)[places.clamp(min=0)]
    return found.masked_fill((places < 0).unsqueeze(-1), -torch.inf)


def best_span(start: Tensor, end: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """The span of the largest start_i + end_j with i <= j < i + limit; of equal ones the shortest, then the first.

    Args:
        start, end: [B, L] scores, -inf where there is no token.
        limit: tokens of a span, at most.

    Returns: (i [B], j [B], score [B]).
    """
    L = start.shape[1]
    best = torch.full_like(start[:, 0], -torch.inf)
    first, last = (torch.zeros(len(start), dtype=torch.long, device=start.device) for _ in range(2))
    for longer in range(min(limit, L)):
        score, at = (start[:, : L - longer] + end[:, longer:]).max(1)
        wins = score > best
        best, first = best.where(~wins, score), first.where(~wins, at)
        last = last.where(~wins, at + longer)
    return first, last, best
