"""Exogenous columns as patches that the patches of a series attend to."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers.exogenous import ExogenousTokens, check_columns


class ExogenousPatches(nn.Module):
    """Tokens of exogenous columns: a token a patch of a column, a token each static: [B, M, dim].

        past-only column p       W_past [patch; mean; log scale] + e_p + place         over the lookback
        future-known column k    W_known [patch; mean; log scale] + e_k + place        over lookback and horizon
        statics                  as `ExogenousTokens`

    A token a column, as Wang et al. 2024 (TimeXer) have it, carries no more numbers than it is wide: a horizon of 24 known
    values does not go through 16. Patches end where the lookback ends and begin there, and are filled up with zeros at the far
    ends. Where the series' windows are normed (`revin`) so are the columns, by their mean and deviation over the lookback, with
    a floor for columns that hardly move there, since a column says something of the series in the series' own units: of
    y = 2u, y - mean y is 2 (u - mean u). Mean and deviation stand beside each patch, so that nothing is lost.

    `asking` is added to the patches that attend, so that each asks for others from the first step on.

    Args:
        dim, lookback, horizon, past_covariates, future_covariates, static_categories, static_reals: as of `ExogenousTokens`.
        patch: steps of a patch.
        queries: how many tokens a channel has that attend.
        revin: whether columns are normed by their lookback.
        floor: added to the variance there; columns are z-scored by the training rows already.
    """

    def __init__(
        self,
        dim: int,
        lookback: int,
        horizon: int,
        past_covariates: int = 0,
        future_covariates: int = 0,
        static_categories: Sequence[int] = (),
        static_reals: int = 0,
        *,
        patch: int,
        queries: int,
        revin: bool = True,
        floor: float = 0.1,
    ):
        super().__init__()
        self.lookback, self.horizon, self.patch, self.floor, self.revin = lookback, horizon, patch, floor, revin
        before, after = -(-lookback // patch), -(-horizon // patch)
        self.sizes = {
            "past_covariates": (lookback, past_covariates),
            "future_covariates": (lookback + horizon, future_covariates),
        }
        self.past = nn.Linear(patch + 2 * revin, dim) if past_covariates else None
        self.known = nn.Linear(patch + 2 * revin, dim) if future_covariates else None
        self.names = nn.Parameter(torch.randn(past_covariates + future_covariates, 1, dim))
        self.places = nn.Parameter(torch.randn(before + after, dim))
        self.asking = nn.Parameter(2 * torch.randn(queries, dim))
        statics = static_categories or static_reals
        self.statics = (
            ExogenousTokens(dim, lookback, horizon, static_categories=static_categories, static_reals=static_reals)
            if statics
            else None
        )

    def forward(
        self,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
    ) -> Tensor:
        """[B, L, P], [B, L + H, K], [B, S] long, [B, R] -> [B, M, dim].

        Raises: ZooError for columns that are not there, or are too many or too few, or of another length.
        """
        for name, given in (("past_covariates", past_covariates), ("future_covariates", future_covariates)):
            steps, count = self.sizes[name]
            check_columns(name, given, count, steps)
        if self.statics is None:
            check_columns("static_categorical_features", static_categorical_features, 0)
            check_columns("static_real_features", static_real_features, 0)
        tokens, P = [], 0
        if self.past is not None and past_covariates is not None:
            P = past_covariates.shape[2]
            tokens.append(self._of(past_covariates, self.past, self.names[:P]))
        if self.known is not None and future_covariates is not None:
            tokens.append(self._of(future_covariates, self.known, self.names[P:]))
        if self.statics is not None:
            tokens.append(self.statics(None, None, static_categorical_features, static_real_features))
        return torch.cat(tokens, 1)

    def last_steps(self) -> list[tuple[int, int | None]]:
        """Of each token: the number of its column, and its patch's last step (0: of the lookback); a static has none."""
        P, K = (count for _, count in self.sizes.values())
        before, places = -(-self.lookback // self.patch), len(self.places)
        ends = [min((i + 1 - before) * self.patch, self.horizon) for i in range(places)]
        found: list[tuple[int, int | None]] = [(p, end) for p in range(P) for end in ends[:before]]
        found += [(P + k, end) for k in range(K) for end in ends]
        return found + [(P + K + s, None) for s in range(self.statics.count if self.statics is not None else 0)]

    def _of(self, columns: Tensor, proj: nn.Linear, names: Tensor) -> Tensor:
        """[B, L or L + H, n] -> [B, n N, dim]."""
        x = columns.transpose(1, 2)
        past = x[..., : self.lookback]
        beside = []
        if self.revin:
            variance, mean = torch.var_mean(past, -1, keepdim=True, correction=0)
            scale = (variance + self.floor).sqrt()
            x, beside = (x - mean) / scale, [mean, scale.log()]
        cells = F.pad(x, (-self.lookback % self.patch, (self.lookback - x.shape[-1]) % self.patch))
        patches = cells.unflatten(-1, (-1, self.patch))  # [B, n, N, P]
        more = [each.unsqueeze(-1).expand(*patches.shape[:3], 1) for each in beside]
        return (proj(torch.cat([patches, *more], -1)) + self.places[: patches.shape[2]] + names).flatten(1, 2)
