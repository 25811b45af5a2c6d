"""Local attention whose place is predicted by the query: Luong et al. 2015, section 3.2 ("local-p")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.attention.parts import build
from zoo.attention.scores import General, Score, ScoreWrapper
from zoo.declared import declared
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.attention.call import AttentionCall


@declared
class LocalP(ScoreWrapper):
    """A score whose weights stay near a place that the query predicts (Luong et al. 2015, equations 9 and 10):

        p_i  = S sigmoid(v . tanh(W q_i))
        w_ij = normalize(score(q_i, k_j) over |j - p_i| <= D) exp(-(j - p_i)^2 / (2 (D / 2)^2))

    j = 0 .. S - 1 counts the keys from the first to the last that query i may see, so that padding on either side moves
    nothing. The weights are not normalised again: they sum to less than 1.

    Args:
        head_dim: width of a query.
        score: what compares; a score, or a factory that takes `head_dim`.
        window: D, at least 1, so that each query has a key.

    Raises:
        ZooError: a window below 1.
    """

    uses_places = True
    reads = ("image", "text", "series", "pairs", "captions")

    def __init__(self, head_dim: int, score: Score | Callable[..., Score] = General, window: float = 10):
        super().__init__(build(score, head_dim=head_dim))
        if not window >= 1:  # NaN too
            raise ZooError(f"LocalP(window={window}) can leave a query without any key; give 1 or more.")
        self.window = window
        self.place = nn.Linear(head_dim, head_dim, bias=False)
        self.out = nn.Linear(head_dim, 1, bias=False)

    @property
    def is_distribution(self) -> bool:
        return False

    def centres(self, q: Tensor, length: Tensor) -> Tensor:
        """p [B, H, Q, 1], of queries [B, H, Q, D] that see `length` [.., Q, 1] keys."""
        return length * torch.sigmoid(self.out(torch.tanh(self.place(q))))

    def normalize(self, logits: Tensor, call: AttentionCall) -> Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        seen, places = logits > -torch.inf, call.index_grid()[3]  # [B, H, Q, K], [.., 1, K]
        far = torch.iinfo(places.dtype).max
        first = torch.where(seen, places, far).amin(-1, keepdim=True)
        last = torch.where(seen, places, -1).amax(-1, keepdim=True)
        away = (places - first).to(wide) - self.centres(call.q, (last - first + 1).to(wide))
        near = self.score.normalize(logits.masked_fill(away.abs() > self.window, -torch.inf), call)
        bell = torch.exp(-2 * (away / self.window) ** 2)  # (D / 2)^2 below, halved
        return (near * bell).to(logits.dtype)
