"""PatchTST: scaled dot x full x learned, a token a patch of steps, each channel alone. Nie et al. 2023."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.attention import (
    Attention,
    Full,
    Learned,
    OutputProjection,
    Pattern,
    Position,
    SeparateQKV,
    SkipPrefix,
    build,
    byte_dropout,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import FeedForward, RevIN, post_norm
from zoo.layers.dropout import ByteDropout
from zoo.layers.exogenous_patches import ExogenousPatches
from zoo.layers.patch_masking import PatchMasking
from zoo.layers.prefix import on_patches
from zoo.layers.series_block import SeriesBlock
from zoo.layers.series_patches import SeriesPatches, TokenBatchNorm
from zoo.models.base import in_groups
from zoo.models.series.base import Forecaster
from zoo.models.series.heads import Forecast, Head

#: Parameters that are tokens or places, not maps.
TOKENS = ("cls_token", "exogenous.names", "exogenous.places", "exogenous.asking", "exogenous.statics.names")
POOLS = ("mean", "max", None)


class Reconstruction(NamedTuple):
    """Patches filled in. out: [B, C, N, P], of the normed window. patches: the same as they are. mask: [B, C, N] bool, True =
    hidden. observed: [B, C, N, P] bool; None where all is."""

    out: Tensor
    patches: Tensor
    mask: Tensor
    observed: Tensor | None


@declared
class PatchTST(Forecaster):
    """Windows [B, L, C] -> a forecast of H steps; or, with a `masking`, hidden patches filled in, [B, C, N, P].

        x, loc, scale = RevIN(past)
        tokens = W patches(x) + position                         N of each channel, which does not see the others
        tokens = block_depth(... block_1(tokens))
        forecast = head(proj(flatten(tokens))) * scale + loc

    Args:
        channels, lookback, horizon: C, L, H.
        patch, stride: P and S, steps; see `SeriesPatches`.
        end_padding: a last patch that reaches S steps beyond the newest value, which is repeated there.
        dim, depth, num_heads: the usual sizes.
        hidden: width inside the feed-forward.
        head: what the last numbers mean; None: `Point`.
        attention: factory of the attention of each block; takes score, pattern, kernel bound to it.
        pattern: which patches a patch sees, default what is bound to `attention`, else all; or a factory, given length, prefix
            and num_heads. A class token sees all and is seen by all.
        position: factory, default `Learned`.
        norm: factory; default batch norm over all tokens.
        act, order: GELU, post_norm; see `zoo.layers.Block`.
        residual_scores: whether a block adds the logits of the one before to its own.
        revin: whether each window is normed by its own mean and deviation; or what norms it (`zoo.layers.scaling`).
        mix_channels: each block attends along the channels too, with the same weights.
        class_token: a token in front, of which alone the forecast is read.
        pool: "mean" or "max" of a channel's tokens in place of all side by side.
        shared_embedding: one map of patches to tokens for all channels, or one each.
        masking: which patches are hidden (`zoo.layers.patch_masking`): the model learns to fill them in, and forecasts nothing.
        past_covariates, future_covariates, static_categories, static_reals: how many exogenous columns there are, to
            whose patches every block attends (`ExogenousPatches`).
        dropout: of the embedding, inside the feed-forward, and of what a sublayer adds (of exogenous columns, which may be
            known exactly, nothing is dropped); `embed_dropout` and `hidden_dropout` for others of the first two.
        attn_dropout, head_dropout, drop_path: rates.
        init: called on every module.

    Raises:
        ZooError: sizes that do not divide, a lookback shorter than a patch, an unknown pool.
    """

    covariates = True
    heads = ("proj", "patch_head", "head")
    usual = MappingProxyType({**Forecaster.usual, "position": "zoo.attention.Learned"})
    tokens = "patches"

    def __init__(
        self,
        channels: int,
        lookback: int = 336,
        horizon: int = 96,
        patch: int = 16,
        stride: int = 8,
        dim: int = 16,
        depth: int = 3,
        num_heads: int = 4,
        *,
        hidden: int = 128,
        end_padding: bool = True,
        head: Head | None = None,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] | None = None,
        order: Callable[..., Tensor] = post_norm,
        residual_scores: bool = True,
        revin: bool | nn.Module = True,
        mix_channels: bool = False,
        class_token: bool = False,
        pool: str | None = None,
        shared_embedding: bool = True,
        masking: PatchMasking | None = None,
        past_covariates: int | None = 0,
        future_covariates: int | None = 0,
        static_categories: Sequence[int] | None = (),
        static_reals: int | None = 0,
        dropout: float = 0.0,
        embed_dropout: float | None = None,
        hidden_dropout: float | None = None,
        attn_dropout: float = 0.0,
        head_dropout: float = 0.0,
        drop_path: float = 0.0,
        mlp_bias: bool = True,
        init: Callable[[nn.Module], None] | None = None,
    ):
        super().__init__(channels, lookback, horizon, head)
        if min(dim, depth, num_heads) < 1 or dim % num_heads:
            raise ZooError(
                f"{dim=}, {depth=}, {num_heads=}: sizes are positive, and num_heads divides dim; change one."
            )
        if pool not in POOLS:
            raise ZooError(f"pool={pool!r} is none of mean, max and null (all tokens side by side).")
        if not isinstance(revin, bool | nn.Module | None):
            raise ZooError(f"model.revin={revin!r} is neither true, false nor a module that norms windows.")
        self.dim, self.pool, self.has_class_token = dim, pool, class_token
        self.num_prefix_tokens = prefix = int(class_token)
        self.grad_checkpointing = False
        norm, act = norm or TokenBatchNorm, act or nn.GELU

        self.revin = RevIN() if revin is True else revin or None
        self.patch_embed = SeriesPatches(lookback, patch, stride, dim, channels, end_padding, shared_embedding)
        self.num_patches = N = self.patch_embed.count
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim)) if class_token else None
        self.masking = masking
        place = partial(
            build, position or Learned, dim=dim, num_heads=num_heads, head_dim=dim // num_heads, length=N + prefix
        )
        start: Position = place()
        self.position = start if "tokens" in start.acts_on else Position()
        self.drop = _dropout(dropout if embed_dropout is None else embed_dropout)

        columns: Any = (past_covariates or 0, future_covariates or 0, static_categories or (), static_reals or 0)
        self.exogenous = None
        if any(columns):
            how: Any = dict(patch=patch, queries=N + prefix, revin=self.revin is not None)
            self.exogenous = ExogenousPatches(dim, lookback, horizon, *columns, **how)

        bound, attention = unbind(attention or Attention, "pattern")
        facts: dict[str, Any] = dict(prefix=prefix, num_heads=num_heads)
        made = make_pattern(pattern or bound or Full(), length=N, **facts)
        made = on_patches(made, (1, N), **facts)

        def make_attention(rate: float = dropout, **own: Any) -> Any:
            return build(
                attention, dim=dim, num_heads=num_heads, dropout=attn_dropout, drop=byte_dropout,
                output=partial(OutputProjection, bias=True, dropout=rate, drop=ByteDropout), **own,
            )  # fmt: skip

        def make_block(i: int) -> SeriesBlock:
            turned = (
                SkipPrefix(place(), prefix) if start.acts_inside and prefix else place() if start.acts_inside else None
            )
            sees: dict[str, Any] = {} if mix_channels else {"pattern": made}
            attn = make_attention(position=turned, **sees)
            across = make_attention(0.0, projection=SeparateQKV) if self.exogenous is not None else None
            mlp = FeedForward(dim, hidden, act, dropout, mlp_bias, ByteDropout, hidden_dropout)
            return SeriesBlock(
                dim, attn, mlp, exogenous=across, mix_channels=mix_channels, residual_scores=residual_scores,
                pattern=made if mix_channels else None, norm=norm, order=order,
                drop_path=drop_path * i / max(depth - 1, 1),
            )  # fmt: skip

        self.blocks = nn.ModuleList(make_block(i) for i in range(depth))
        self.head_drop = _dropout(head_dropout)
        features = dim if pool or class_token else dim * N
        self.proj = None if masking else nn.Linear(features, horizon * self.head.width)
        self.patch_head = nn.Linear(dim, patch) if masking else None
        if init is not None:
            for module in self.modules():
                init(module)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)

    # ---- from a window to tokens

    def normed(self, past: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """[B, L, C] -> the same by its own mean and deviation, and both [B, 1, C]."""
        if self.revin is not None:
            return self.revin(past, observed)
        return past, None, None

    def encode(self, patches: Tensor, columns: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Patches [B, C, N, P] -> tokens [B C, prefix + N, dim] after the last block, channel c of sample b in row b C + c.

        columns: of the exogenous columns, see `SeriesBlock`.
        """
        x = self.patch_embed(patches).flatten(0, 1)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        x = self.position.embed(x, torch.arange(x.shape[1], device=x.device))
        x = x if self.drop is None else self.drop(x)
        scores = None
        for block in self.blocks:
            how: Any = dict(channels=self.channels, columns=columns)
            if self.grad_checkpointing and self.training:
                x, scores = checkpoint(block, x, scores, use_reentrant=False, **how)
            else:
                x, scores = block(x, scores, **how)
        return x

    def forward_head(self, x: Tensor, loc: Tensor | None = None, scale: Tensor | None = None) -> Forecast:
        """Tokens [B C, prefix + N, dim] -> the forecast."""
        if self.proj is None:
            raise ZooError("This PatchTST fills in hidden patches: it has no map to a forecast (init= gives it one).")
        if self.has_class_token:
            x = x[:, 0]
        elif self.pool is not None:
            x = x.mean(1) if self.pool == "mean" else x.amax(1)
        x = x.flatten(1)
        raw = self.proj(x if self.head_drop is None else self.head_drop(x))
        return self.head(raw.view(-1, self.channels, self.horizon, self.head.width).transpose(1, 2), loc, scale)

    def forward(  # type: ignore[override]
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        future_time_features: Tensor | None = None,
        past_observed_mask: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> Forecast | Tensor:
        """past_values [B, L, C] -> Forecast; with a `masking` the patches filled in, [B, C, N, P].

        Arguments as of `Forecaster.forward` (calendar features are passed over), and
            mask: [B, C, N] bool, True = hidden: takes the place of what `masking` would draw.
        """
        columns = (past_covariates, future_covariates, static_categorical_features, static_real_features)
        if self.masking is not None:
            return self.reconstruct(past_values, past_observed_mask, mask, columns).out
        if mask is not None:
            raise ZooError("mask= hides patches from a PatchTST that learns to fill them in; this one forecasts.")
        self.check_inputs(past_values, past_observed_mask)
        x, loc, scale = self.normed(past_values, past_observed_mask)
        features = self.encode(self.patch_embed.cut(x), self.beside(columns))
        return self.forward_head(features, loc, scale)

    def reconstruct(
        self,
        past_values: Tensor,
        past_observed_mask: Tensor | None = None,
        mask: Tensor | None = None,
        columns: Sequence[Tensor | None] = (None, None, None, None),
    ) -> Reconstruction:
        """Hide patches and fill them in; see `Reconstruction`. Arguments as of `forward`; columns: the exogenous ones."""
        if self.masking is None or self.patch_head is None:
            raise ZooError(
                "This PatchTST forecasts: to fill in hidden patches, build it with masking=RandomPatches(...)."
            )
        self.check_inputs(past_values, past_observed_mask)
        x, *_ = self.normed(past_values, past_observed_mask)
        patches = self.patch_embed.cut(x)
        shape = tuple(patches.shape[:3])
        if mask is None:
            mask = self.masking(*shape).to(x.device)
        elif mask.dtype != torch.bool or tuple(mask.shape) != shape:
            raise ZooError(
                f"mask is boolean, True = hidden, [B, C, N] = {list(shape)}; got {mask.dtype} {list(mask.shape)}."
            )
        seen = patches.masked_fill(mask.unsqueeze(-1), self.masking.value)
        features = self.encode(seen, self.beside(columns))[:, self.num_prefix_tokens :]
        out = self.patch_head(features if self.head_drop is None else self.head_drop(features))
        observed = None if past_observed_mask is None else self.patch_embed.cut(past_observed_mask)
        return Reconstruction(out.view(patches.shape), patches, mask, observed)

    def beside(self, columns: Sequence[Tensor | None]) -> tuple[Tensor, Tensor] | None:
        """Tokens of the exogenous columns, and what the patches ask them with."""
        if self.exogenous is not None:
            return self.exogenous(*columns), self.exogenous.asking
        if any(column is not None for column in columns):
            raise ZooError(
                "This PatchTST was made for data without exogenous columns, and was given some: build it with "
                "past_covariates=, future_covariates=, static_categories= or static_reals=."
            )
        return None

    def patches(self) -> list[tuple[int, int]]:
        """The rows [begin, end) of the lookback that each patch covers; `end` is beyond it where the last value is repeated."""
        cut = self.patch_embed
        return [(begin := cut.start + n * cut.stride, begin + cut.patch) for n in range(cut.count)]

    # ---- what it says of itself

    def no_weight_decay(self) -> set[str]:
        """Parameters that are places or tokens, not maps."""
        names = [name for name, _ in self.named_parameters()]
        return {name for name in names if "position." in name or name in TOKENS}

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embedding, each block, then what follows."""
        first = ("revin", "patch_embed", "cls_token", "position", "exogenous")
        return in_groups(self, len(self.blocks), first)

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = on

    @property
    def forecasts(self) -> bool:
        return self.masking is None

    def describe(self) -> dict[str, str]:
        cut = self.patch_embed
        before = f" + {self.num_prefix_tokens} before them" if self.num_prefix_tokens else ""
        return {
            **super().describe(),
            "tokens": f"{cut.count} patches of {cut.patch} steps, one each {cut.stride}{before}",
        }


def _dropout(rate: float) -> nn.Module | None:
    return ByteDropout(rate) if rate else None
