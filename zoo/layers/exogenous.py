"""Exogenous columns as tokens that a series' encoder attends to, as Wang et al. 2024 (TimeXer), section 3.2, has them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.errors import ZooError


class ExogenousTokens(nn.Module):
    """A token for each column beside the targets: [B, P + K + S + R, dim].

        past-only column p       W_past x_p[1..L] + e_p              over the lookback
        future-known column k    W_known x_k[1..L+H] + e_k           over lookback and horizon
        static category s        E_s[c_s]
        static real r            w_r x_r + e_r

    A column of the future that is not known has no way in: `past_covariates` end where the lookback ends.

    Args:
        dim: width of a token.
        lookback, horizon: L and H, steps.
        past_covariates, future_covariates: P and K, how many columns.
        static_categories: how many values each of the S static categories has.
        static_reals: R.
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
    ):
        super().__init__()
        self.steps = {"past_covariates": lookback, "future_covariates": lookback + horizon}
        self.columns = {"past_covariates": past_covariates, "future_covariates": future_covariates}
        self.columns |= {"static_categorical_features": len(static_categories), "static_real_features": static_reals}
        self.past = nn.Linear(lookback, dim) if past_covariates else None
        self.known = nn.Linear(lookback + horizon, dim) if future_covariates else None
        named = past_covariates + future_covariates + static_reals
        self.names = nn.Parameter(0.02 * torch.randn(named, dim)) if named else None
        self.categories = nn.ModuleList(nn.Embedding(values, dim) for values in static_categories)
        self.reals = nn.Parameter(torch.randn(static_reals, dim) * dim**-0.5) if static_reals else None

    @property
    def count(self) -> int:
        """How many tokens it makes; 0: the data has no such columns."""
        return sum(self.columns.values())

    def forward(
        self,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
    ) -> Tensor | None:
        """[B, L, P], [B, L + H, K], [B, S] long, [B, R] -> [B, P + K + S + R, dim]; None where there is no such column.

        Raises: ZooError for columns that are not there, or are too many or too few, or of another length.
        """
        given = {
            "past_covariates": past_covariates, "future_covariates": future_covariates,
            "static_categorical_features": static_categorical_features, "static_real_features": static_real_features,
        }  # fmt: skip
        for name, tensor in given.items():
            check_columns(name, tensor, self.columns[name], self.steps.get(name))
        tokens = []
        if self.past is not None and past_covariates is not None:
            tokens.append(self.past(past_covariates.transpose(1, 2)))
        if self.known is not None and future_covariates is not None:
            tokens.append(self.known(future_covariates.transpose(1, 2)))
        if self.reals is not None and static_real_features is not None:
            tokens.append(static_real_features.unsqueeze(-1) * self.reals)
        if self.names is not None:
            tokens = [torch.cat(tokens, 1) + self.names]
        if static_categorical_features is not None:
            tokens += [
                embed(c).unsqueeze(1) for embed, c in zip(self.categories, static_categorical_features.T, strict=True)
            ]
        return torch.cat(tokens, 1) if tokens else None


def check_columns(name: str, tensor: Tensor | None, columns: int, steps: int | None = None) -> None:
    """Raise ZooError where a tensor is not of that many columns, and steps where it has steps."""
    sizes = [columns] if steps is None else [steps, columns]
    shape = f"[B, {', '.join(map(str, sizes))}]"
    if tensor is None and columns:
        raise ZooError(f"{name} {shape} is missing: the model was made for data with such columns.")
    if tensor is not None and tensor.shape[-1] + columns and list(tensor.shape[1:]) != sizes:
        raise ZooError(f"{name} is {shape} for this model; got {list(tensor.shape)}.")
