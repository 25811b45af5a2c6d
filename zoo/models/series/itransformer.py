"""iTransformer: scaled dot x full x none, a token a channel. Liu et al. 2024."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from zoo.attention import (
    Attention,
    Full,
    OutputProjection,
    Pattern,
    Position,
    build,
    byte_dropout,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import Block, ByteDropout, FeedForward, post_norm
from zoo.layers.revin import RevIN
from zoo.models.base import NO_POSITION, in_groups
from zoo.models.series.base import Forecast, Forecaster, Window
from zoo.models.series.heads import Head


@declared
class ITransformer(Forecaster):
    """Channels attend to each other; what a channel does in time is a linear map.

        t_c = W x_c[1..L]                       one token a channel, of its whole lookback; a calendar feature is one too
        t = block(... block(t));                y_c = proj(norm(t_c))

    Args:
        channels, lookback, horizon, head: see `Forecaster`.
        time_features: calendar features a step, each a token of the lookback; 0: none are read.
        dim, depth, num_heads: the usual sizes.
        hidden: width inside the feed-forward, default dim.
        revin: norm each window by its own mean and deviation.
        attention, pattern, position, norm, act, order: parts, as of `zoo.models.vision.vit.ViT`; places are numbers of
            channels, which mean nothing unless you say so.
        dropout, attn_dropout: rates.

    Raises: ZooError for sizes that do not divide.
    """

    usual = MappingProxyType({**Forecaster.usual, "position": NO_POSITION})
    of_data = (*Forecaster.of_data, "embed")  # a token is a channel's whole lookback

    tokens = "channels"

    def __init__(
        self,
        channels: int,
        lookback: int,
        horizon: int,
        *,
        time_features: int | None = 0,
        dim: int = 256,
        depth: int = 2,
        num_heads: int = 8,
        hidden: int | None = None,
        revin: bool = True,
        head: Head | None = None,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        act: Callable[[], nn.Module] = nn.GELU,
        order: Callable[..., Tensor] = post_norm,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
    ):
        super().__init__(channels, lookback, horizon, head)
        if wrong := [f"model.{key}={n}" for key, n in dict(dim=dim, depth=depth, num_heads=num_heads).items() if n < 1]:
            raise ZooError(f"Sizes of an ITransformer are positive; got {', '.join(wrong)}.")
        self.time_features = time_features or 0
        self.revin = RevIN() if revin else None
        self.embed = nn.Linear(lookback, dim)
        length = channels + self.time_features
        place = partial(build, position, dim=dim, num_heads=num_heads, head_dim=dim // num_heads, length=length)
        first: Position | None = place()
        self.position = first if first is not None and "tokens" in first.acts_on else Position()
        inside = first is not None and first.acts_inside
        self.drop = ByteDropout(dropout) if dropout else None
        bound, attention = unbind(attention or Attention, "pattern")
        pattern = make_pattern(pattern or bound or Full(), num_heads=num_heads)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                build(
                    attention, dim=dim, num_heads=num_heads, dropout=attn_dropout, drop=byte_dropout, pattern=pattern,
                    position=place() if inside else None,
                    output=partial(OutputProjection, dropout=dropout, drop=ByteDropout),
                ),
                FeedForward(dim, hidden or dim, act, dropout, drop=ByteDropout),
                norm=norm, order=order,
            )
            for _ in range(depth)
        )  # fmt: skip
        self.norm = norm(dim)
        self.proj = nn.Linear(dim, horizon * self.head.width)

    def forward_window(self, window: Window) -> Forecast:
        x, observed, loc, scale = window.past_values, window.past_observed_mask, None, None
        if self.revin is not None:
            x, loc, scale = self.revin(x, observed)
        elif observed is not None:
            x = x.masked_fill(~observed, 0)
        if self.time_features:
            x = torch.cat([x, self._calendar(window.past_time_features, x)], -1)
        tokens = self.embed(x.transpose(1, 2))
        tokens = self.position.embed(tokens, torch.arange(tokens.shape[1], device=x.device))
        tokens = tokens if self.drop is None else self.drop(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        raw = self.proj(self.norm(tokens[:, : self.channels]))
        return self.head(raw.unflatten(-1, (self.horizon, self.head.width)).transpose(1, 2), loc, scale)

    def _calendar(self, features: Tensor | None, x: Tensor) -> Tensor:
        wanted = [x.shape[0], self.lookback, self.time_features]
        if features is None or list(features.shape) != wanted:
            got = "none" if features is None else list(features.shape)
            raise ZooError(f"This model reads past_time_features [B, L, F] = {wanted}; got {got}.")
        return features.to(x.dtype)

    def no_weight_decay(self) -> set[str]:
        """Parameters that are places, not maps."""
        return {name for name, _ in self.named_parameters() if name.startswith("position.") or "attn.position." in name}

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embedding, each block, then what follows."""
        return in_groups(self, len(self.blocks), ("embed", "position"))

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "tokens": f"{self.channels} channels + {self.time_features} calendar features"}
