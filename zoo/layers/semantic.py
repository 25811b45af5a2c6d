"""Attention over views of the same nodes."""

import torch
from torch import Tensor, nn

from zoo.attention import AttentionCall, Dot, Full
from zoo.attention.dispatch import run


class SemanticAttention(nn.Module):
    """z_i = sum_p b_p z_i^p, b = softmax_p(mean_i q . tanh(W z_i^p + c)): views z^p of the nodes, one weight a view.

    Wang et al. 2019 (HAN), equations 7 to 9. One query q looks at P keys, the means of tanh(W z^p + c) over the nodes (the
    mean of the products with q is the product with the mean), and takes the mean of the views.
    """

    def __init__(self, dim: int, hidden: int = 128):
        super().__init__()
        self.map = nn.Linear(dim, hidden)
        self.query = nn.Parameter(torch.empty(hidden).normal_(std=hidden**-0.5))
        self.score = Dot()
        self.recorder = None

    def forward(self, views: Tensor) -> Tensor:
        """[P, N, dim] -> [N, dim]."""
        q = self.query.to(views.dtype).view(1, 1, 1, -1)
        k = torch.tanh(self.map(views)).mean(1, dtype=views.dtype)[
            None, None
        ]  # [1, 1, P, hidden]; autocast's map is narrower
        v = views.flatten(1)[None, None]  # [1, 1, P, N dim]
        call = AttentionCall(
            q, k, v, self.score, Full()
        )  # given, as torch.export cannot trace the default of a dataclass
        out = run(call, "reference").out  # the values are far wider than fused kernels are made for
        if self.recorder is not None:
            self.recorder(call)
        return out.view(views.shape[1:])
