"""Informer: scaled dot x ProbSparse x sinusoidal, a token a step, distilled; and the transformer that it was made from.

Zhou et al. 2021; the transformer of Vaswani et al. 2017 is the same with full attention and without distilling.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.attention import (
    Attention,
    Causal,
    Full,
    OutputProjection,
    Pattern,
    Position,
    ProbSparse,
    SeparateQKV,
    Sinusoidal,
    build,
    byte_dropout,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import Block, ByteDropout, FeedForward, post_norm
from zoo.layers.calendar import StepEmbedding
from zoo.layers.distil import Distil
from zoo.layers.exogenous import ExogenousTokens
from zoo.layers.revin import RevIN
from zoo.models.series.base import EXOGENOUS, Forecast, Forecaster, Window
from zoo.models.series.heads import Head


@declared
class Informer(Forecaster):
    """An encoder of the lookback and a decoder that gives all steps of the horizon in one pass.

        e = embed(x_1 ... x_L) + position;           e = distil(block(e)), ..., e = block(e)       seeing `pattern`
        d = embed(x_(L - start + 1) ... x_L, 0 ... 0) + position;       d = block(d, e)    seeing `pattern & Causal()`, all of e
        y = proj(d) of the last H tokens

    The start tokens are the end of the lookback, never values of the horizon (bug 17). A token's place is that of its step in
    the window, for encoder and decoder alike; theirs count from 0 in each. Convolutions see the past alone (bug 14).

    Args:
        channels, lookback, horizon, head: see `Forecaster`.
        time_features: calendar features a step; 0: none are read.
        past_covariates, future_covariates, static_categories, static_reals: exogenous columns, a token each, to which every
            block of the encoder attends (`zoo.layers.exogenous`). Those known of the future stand beside the calendar features
            of their step too: one token for all steps would have the decoder unpack them.
        dim, num_heads: width and heads.
        depth, decoder_depth: blocks.
        hidden: width inside the feed-forward, default 4 dim.
        start: start tokens, default half the lookback.
        distil: halve the tokens between two blocks of the encoder.
        kernel_size: steps that the embedding sees, a step's own and those before it.
        revin: norm each window by its own mean and deviation.
        attention: factory of every self-attention; takes score, pattern, kernel bound to it. Attention to other sequences has
            its score, and is full.
        pattern: default what is bound to `attention`, else ProbSparse().
        position: factory; `embed` acts on the tokens, `rotate` and `bias` in every self-attention.
        norm, act, order: LayerNorm, GELU, post_norm; factories and a function (see `zoo.layers.Block`).
        dropout, attn_dropout: rates.

    Raises: ZooError for sizes that do not divide, or start tokens that the lookback has not.
    """

    covariates = True
    usual = MappingProxyType(
        {**Forecaster.usual, "pattern": "zoo.attention.ProbSparse", "position": "zoo.attention.Sinusoidal"}
    )
    sees: ClassVar[type[Pattern]] = ProbSparse
    distils: ClassVar[bool] = True

    def __init__(
        self,
        channels: int,
        lookback: int,
        horizon: int,
        *,
        time_features: int | None = 0,
        past_covariates: int | None = 0,
        future_covariates: int | None = 0,
        static_categories: Sequence[int] | None = (),
        static_reals: int | None = 0,
        dim: int = 512,
        depth: int = 2,
        decoder_depth: int = 1,
        num_heads: int = 8,
        hidden: int | None = None,
        start: int | None = None,
        distil: bool | None = None,
        kernel_size: int = 3,
        revin: bool = False,
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
        sizes = dict(dim=dim, depth=depth, decoder_depth=decoder_depth, num_heads=num_heads, kernel_size=kernel_size)
        if wrong := [f"model.{name}={value}" for name, value in sizes.items() if value < 1]:
            raise ZooError(f"Sizes of an {type(self).__name__} are positive; got {', '.join(wrong)}.")
        self.start = lookback // 2 if start is None else start
        if not 0 <= self.start <= lookback:
            raise ZooError(
                f"model.start={start}: start tokens are the end of the lookback, which has {lookback} steps."
            )
        self.grad_checkpointing = False

        self.revin = RevIN() if revin else None
        embed = partial(StepEmbedding, channels, dim, time_features or 0, future_covariates or 0, kernel_size)
        self.embed, self.decoder_embed = embed(), embed()
        place = partial(
            build,
            position or Sinusoidal,
            dim=dim,
            num_heads=num_heads,
            head_dim=dim // num_heads,
            length=lookback + horizon,
        )
        first: Position = place()
        self.position = first if "tokens" in first.acts_on else Position()
        self.drop = ByteDropout(dropout) if dropout else None
        self.exogenous = ExogenousTokens(
            dim,
            lookback,
            horizon,
            past_covariates or 0,
            future_covariates or 0,
            static_categories or (),
            static_reals or 0,
        )

        bound, attention = unbind(attention or Attention, "pattern")
        _, across = unbind(attention, "kernel")
        pattern = make_pattern(pattern or bound or self.sees(), num_heads=num_heads)
        shared = dict(
            dim=dim, num_heads=num_heads, dropout=attn_dropout, drop=byte_dropout,
            output=partial(OutputProjection, dropout=dropout, drop=ByteDropout),
        )  # fmt: skip

        def self_attention(sees: Pattern) -> nn.Module:
            return build(attention, **shared, pattern=sees, position=place() if first.acts_inside else None)

        def attention_to_others() -> nn.Module:
            return build(across, **shared, pattern=Full(), projection=SeparateQKV, query_places=False)

        def block(**attentions: Any) -> Block:
            mlp = FeedForward(dim, hidden or 4 * dim, act, dropout, drop=ByteDropout)
            return Block(dim, **attentions, mlp=mlp, norm=norm, order=order)

        others: Any = partial(dict, cross_attn=attention_to_others) if self.exogenous.count else dict
        self.encoder = nn.ModuleList(
            block(attn=self_attention(pattern), **{name: make() for name, make in others().items()})
            for _ in range(depth)
        )
        distil = self.distils if distil is None else distil
        self.distil = nn.ModuleList(Distil(dim) for _ in range(depth - 1 if distil else 0))
        self.norm = norm(dim)
        self.decoder = nn.ModuleList(
            block(self_attn=self_attention(pattern & Causal()), cross_attn=attention_to_others())
            for _ in range(decoder_depth)
        )
        self.decoder_norm = norm(dim)
        self.proj = nn.Linear(dim, channels * self.head.width)

    @property
    def renewed(self) -> tuple[str, ...]:
        """What reads the columns and the calendar."""
        return tuple(f"{part}.{of}" for part in ("embed", "decoder_embed") for of in ("values", "calendar"))

    def forward_window(self, window: Window) -> Forecast:
        others = self.exogenous(*(getattr(window, name) for name in EXOGENOUS))
        x, observed, loc, scale = window.past_values, window.past_observed_mask, None, None
        if self.revin is not None:
            x, loc, scale = self.revin(x, observed)
        elif observed is not None:
            x = x.masked_fill(~observed, 0)
        known = self.embed.of_window(window.past_time_features, window.future_time_features, window.future_covariates)
        seen = self.encode(x, None if known is None else known[:, : self.lookback], others)
        steps = self.decode(x, known, seen)
        raw = self.proj(steps).unflatten(-1, (self.channels, self.head.width))
        return self.head(raw, loc, scale)

    def encode(self, x: Tensor, known: Tensor | None = None, others: Tensor | None = None) -> Tensor:
        """The lookback [B, L, C], what is known of its steps, the exogenous tokens -> tokens [B, N, dim]; distilled, N < L."""
        pos = torch.arange(self.lookback, device=x.device)
        tokens = self._placed(self.embed(x, known), pos)
        more = {} if others is None else {"cross_attn": dict(context=others)}
        for i, block in enumerate(self.encoder):
            tokens = self._run(block, tokens, pos=pos, **more)
            if i < len(self.distil):
                pos = pos[(len(pos) - 1) % 2 :: 2]  # the place of a pool is its last step's
                tokens = self.distil[i](tokens)
        return self.norm(tokens)

    def decode(self, x: Tensor, known: Tensor | None, seen: Tensor) -> Tensor:
        """The lookback, what is known of all steps of the window and the encoder's tokens -> [B, H, dim]."""
        first = self.lookback - self.start
        before = min(self.decoder_embed.reach, first)
        given = torch.cat([x[:, first - before :], x.new_zeros(x.shape[0], self.horizon, self.channels)], 1)
        pos = torch.arange(first, self.lookback + self.horizon, device=x.device)
        tokens = self._placed(self.decoder_embed(given, None if known is None else known[:, first:], before), pos)
        for block in self.decoder:
            tokens = self._run(block, tokens, pos=pos, cross_attn=dict(context=seen))
        return self.decoder_norm(tokens[:, -self.horizon :])

    def _placed(self, tokens: Tensor, pos: Tensor) -> Tensor:
        tokens = self.position.embed(tokens, pos)
        return tokens if self.drop is None else self.drop(tokens)

    def _run(self, block: nn.Module, tokens: Tensor, **how: Any) -> Tensor:
        if self.grad_checkpointing and self.training:
            return checkpoint(block, tokens, use_reentrant=False, **how)
        return block(tokens, **how)

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = on

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embeddings, each block of the encoder and of the decoder, then the map."""
        blocks = [f"{side}.{i}" for side in ("encoder", "decoder") for i in range(len(getattr(self, side)))]
        groups: dict[str, list[str]] = {name: [] for name in ("first", *blocks, "last")}
        behind = {"norm": f"encoder.{len(self.encoder) - 1}", "decoder_norm": "last", "proj": "last"}
        for name, _ in self.named_parameters():
            top, second = name.replace("distil.", "encoder.").split(".")[:2]
            at = f"{top}.{second}"
            groups[at if at in groups else behind.get(top, "first")].append(name)
        return list(groups.values())

    def no_weight_decay(self) -> set[str]:
        """Parameters that are places or names of columns, not maps."""
        named = {name for name, _ in self.named_parameters()}
        return {
            name
            for name in named
            if name.startswith("position.") or "attn.position." in name or name == "exogenous.names"
        }


@declared
class Transformer(Informer):
    """The transformer of Vaswani et al. 2017 as a forecaster: Informer with full attention and without distilling."""

    usual = MappingProxyType({**Informer.usual, "pattern": "zoo.attention.Full"})
    sees = Full
    distils = False


#: Zhou et al. 2021, as their scripts/ETTh1.sh has it; the sizes of the window are the data's
CONFIGS: dict[str, dict[str, Any]] = {
    "informer_512": {
        "_target_": "zoo.models.series.informer.Informer",
        **dict(channels=None, lookback=None, horizon=None, time_features=None),
        **dict(past_covariates=None, future_covariates=None, static_categories=None, static_reals=None),
        **dict(dim=512, depth=2, decoder_depth=1, num_heads=8, hidden=2048, dropout=0.05, attn_dropout=0.05),
    }
}
