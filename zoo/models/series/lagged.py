"""Informer as transformers has it: lagged values in, one step after another out, each a distribution. Not the paper's model.

Its encoder and decoder are Zhou et al. 2021's; what goes in and comes out are those of DeepAR (Salinas et al. 2020).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo.attention import Attention, Causal, Full, Pattern, Position, ProbSparse, SeparateQKV, build, unbind
from zoo.attention.positions.embeddings import sinusoid
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import Block, FeedForward, post_norm
from zoo.layers.distil import Distil
from zoo.models.base import Model
from zoo.models.series.counts import NegativeBinomial
from zoo.models.series.heads import Forecast, Head, Parametric, StudentT


class Samples(NamedTuple):
    """sequences: [B, samples, H], or [B, samples, H, C] of several channels, in the units of past_values."""

    sequences: Tensor


@declared
class SinesThenCosines(Position):
    """x + [sin(pos w_0), sin(pos w_1), ... | cos(pos w_0), ...], the sinusoids in halves, in place of one after another."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def embed(self, x, pos):
        table = sinusoid(pos, self.dim, 10000.0, torch.float64)
        return x + torch.cat([table[..., ::2], table[..., 1::2]], -1).to(x.dtype)


@declared
class LaggedInformer(Model):
    """past_values and, while it learns, future_values -> the distribution of each step of the horizon, given all before it.

        z = (values - loc) / scale,                          loc and scale of the last `context` steps
        u_t = W [z_(t - lag) for each lag; categories, static reals, log(1 + |loc|), log(scale); time features of t]
        e = encoder(norm(u + position)) of the last `context` steps;   d = decoder(norm(u + position), e) of the horizon
        params = head(proj(d))

    A step reads values before it alone, so `future_values` are what it would have seen (teacher forcing), and `generate`, which
    needs none, draws one step after another.

    Args:
        horizon: H, steps forecast.
        context: steps that the encoder sees; `past_values` hold the largest lag more.
        channels: C. Windows of one channel are [B, T] or [B, T, 1].
        lags: each at least 1.
        time_features: numbers of each step, dynamic reals included.
        static_categories, category_dims: how many values each static category has, and how wide it is embedded.
        static_reals: how many.
        dim, depth, decoder_depth, num_heads, decoder_heads, hidden, decoder_hidden: the usual sizes.
        distil: halve the tokens between two blocks of the encoder, convolving in a circle as transformers does.
        scaling: how a window is scaled; a module (x, observed) -> (scaled, loc, scale), None: not at all.
        head: `StudentT`, `Normal` or `NegativeBinomial`; None: StudentT.
        attention: factory of the attentions.
        pattern, decoder_pattern: of the self-attentions; the decoder's is `& Causal()`.
        samples: drawn by `generate` where nothing is said.
        dropout, attn_dropout, hidden_dropout: rates.
        layer_drop, decoder_layer_drop: rates of leaving out a block in training.

    Raises: ZooError for a lag below 1, sizes that do not fit, a head without a distribution.
    """

    reads = ("series",)
    heads = ("proj",)
    num_classes = 0
    targets = "values"

    def __init__(
        self,
        horizon: int,
        context: int | None = None,
        channels: int = 1,
        *,
        lags: Sequence[int] = (1, 2, 3, 4, 5, 6, 7),
        time_features: int = 0,
        static_categories: Sequence[int] = (),
        category_dims: Sequence[int] = (),
        static_reals: int = 0,
        dim: int = 64,
        depth: int = 2,
        decoder_depth: int = 2,
        num_heads: int = 2,
        decoder_heads: int = 2,
        hidden: int = 32,
        decoder_hidden: int = 32,
        distil: bool = True,
        scaling: nn.Module | None = None,
        head: Head | None = None,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | None = None,
        decoder_pattern: Pattern | None = None,
        act: Callable[[], nn.Module] = nn.GELU,
        samples: int = 100,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        hidden_dropout: float | None = None,
        layer_drop: float = 0.0,
        decoder_layer_drop: float = 0.0,
    ):
        super().__init__()
        context = context or horizon
        sizes = dict(
            horizon=horizon, context=context, channels=channels, dim=dim, samples=samples, **{"min(lags)": min(lags)}
        )
        if wrong := [f"{name}={value}" for name, value in sizes.items() if value < 1]:
            raise ZooError(f"Sizes and lags of a LaggedInformer are positive; got {', '.join(wrong)}.")
        if len(static_categories) != len(category_dims):
            raise ZooError(f"{len(static_categories)} static categories have {len(category_dims)} widths: one each.")
        head = StudentT() if head is None else head
        if not isinstance(head, Parametric | NegativeBinomial):
            raise ZooError(
                f"head={type(head).__name__} is no distribution to draw from: StudentT, Normal, NegativeBinomial."
            )
        self.horizon, self.context, self.channels, self.head = horizon, context, channels, head
        self.lags, self.samples = tuple(lags), samples
        self.time_features, self.static_reals = time_features, static_reals
        self.scaling = scaling
        pairs = zip(static_categories, category_dims, strict=True)
        self.categories = nn.ModuleList(nn.Embedding(values, width) for values, width in pairs)
        wide = channels * (len(lags) + 2) + time_features + sum(category_dims) + static_reals

        bound, attention = unbind(attention or Attention, "pattern")
        seen, said = pattern or bound or ProbSparse(), decoder_pattern or pattern or bound or ProbSparse()
        shared = partial(build, attention, dim=dim, dropout=attn_dropout)

        def block(inside: int, **attentions: Any) -> Block:
            mlp = FeedForward(dim, inside, act, dropout, hidden_dropout=hidden_dropout)
            return Block(dim, **attentions, mlp=mlp, order=post_norm)

        self.position = SinesThenCosines(dim)
        self.drop = nn.Dropout(dropout)
        self.embed, self.decoder_embed = nn.Linear(wide, dim, bias=False), nn.Linear(wide, dim, bias=False)
        self.norm, self.decoder_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.encoder = nn.ModuleList(
            block(hidden, attn=shared(num_heads=num_heads, pattern=seen)) for _ in range(depth)
        )
        self.distil = nn.ModuleList(Distil(dim, circular=True) for _ in range(depth - 1 if distil else 0))
        self.decoder = nn.ModuleList(
            block(
                decoder_hidden,
                self_attn=shared(num_heads=decoder_heads, pattern=said & Causal()),
                cross_attn=shared(num_heads=decoder_heads, pattern=Full(), projection=SeparateQKV, query_places=False),
            )
            for _ in range(decoder_depth)
        )
        self.layer_drop, self.decoder_layer_drop = layer_drop, decoder_layer_drop
        self.proj = nn.Linear(dim, channels * head.width)

    @property
    def past_length(self) -> int:
        """Steps of `past_values`."""
        return self.context + max(self.lags)

    def describe(self) -> dict[str, str]:
        channels = f"{self.channels} channel{'s' * (self.channels > 1)}"
        window = f"{self.context:,} steps of {channels} and {max(self.lags)} before them -> {self.horizon:,}, drawn one by one"
        return {"window": window, "head": type(self.head).__name__}

    def forward(
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        past_observed_mask: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
        future_values: Tensor | None = None,
        future_time_features: Tensor | None = None,
    ) -> Forecast:
        """past_values [B, context + max(lags)] or [.., C], future_values [B, H] or [.., C] -> the distributions, shaped alike.

        `params` are those of the head before loc and scale; of a NegativeBinomial the logits hold log(scale), as transformers'.

        Raises: ZooError without future_values (`generate` needs none), or for tensors of other sizes.
        """
        if future_values is None:
            raise ZooError("future_values are what each step sees of those before it; without them call generate(...).")
        past = self._window(past_values, self.past_length, "past_values")
        future = self._window(future_values, self.horizon, "future_values")
        z, loc, scale, static = self._scaled(
            past, past_observed_mask, static_categorical_features, static_real_features
        )
        seen = self._encode(z, static, self._times(past_time_features, self.past_length, "past_time_features"))
        z = torch.cat([z, (future - loc) / scale], 1)
        times = self._times(future_time_features, self.horizon, "future_time_features")
        said = self._said(self._decode(z, static, times, seen, self.horizon), loc, scale)
        params = said.params
        if isinstance(self.head, NegativeBinomial) and params is not None:
            params = (params[0], params[1] + scale.log())
        found = said._replace(params=params)
        return found if self.channels > 1 else _one_channel(found)

    @torch.no_grad()
    def generate(
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        future_time_features: Tensor | None = None,
        past_observed_mask: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
        *,
        num_parallel_samples: int | None = None,
        seed: int | None = None,
    ) -> Samples:
        """Draw futures: each step from the distribution given the steps drawn before it. Arguments as of `forward`.

        Args:
            num_parallel_samples: futures of each window; None: `samples`.
            seed: of the draws, which then are the same whatever was drawn before, and change nothing of what is drawn later;
                None: torch's generator goes on.
        """
        count = self.samples if num_parallel_samples is None else num_parallel_samples
        past = self._window(past_values, self.past_length, "past_values")
        z, loc, scale, static = self._scaled(
            past, past_observed_mask, static_categorical_features, static_real_features
        )
        seen = self._encode(z, static, self._times(past_time_features, self.past_length, "past_time_features"))
        times = self._times(future_time_features, self.horizon, "future_time_features")
        z, loc, scale, static, seen = (x.repeat_interleave(count, 0) for x in (z, loc, scale, static, seen))
        times = None if times is None else times.repeat_interleave(count, 0)
        drawn: list[Tensor] = []
        with _seeded(seed, past.device):
            for k in range(1, self.horizon + 1):
                steps = self._decode(z, static, None if times is None else times[:, :k], seen, k)
                drawn.append(self._draw(self._said(steps[:, -1:], loc, scale)))
                z = torch.cat([z, (drawn[-1] - loc) / scale], 1)
        found = torch.cat(drawn, 1).unflatten(0, (-1, count))
        return Samples(found if self.channels > 1 else found.squeeze(-1))

    # ---- its parts

    def _draw(self, said: Forecast) -> Tensor:
        assert isinstance(self.head, Parametric | NegativeBinomial)
        return self.head.distribution(said).sample()

    def _scaled(
        self, past: Tensor, observed: Tensor | None, categories: Tensor | None, reals: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The window by its own level, that level [B, 1, C], and all that does not change with time [B, S]."""
        recent = past[:, -self.context :]
        if observed is not None:
            observed = self._window(observed, self.past_length, "past_observed_mask")[:, -self.context :]
        if self.scaling is None:
            loc, scale = torch.zeros_like(recent[:, :1]), torch.ones_like(recent[:, :1])
        else:
            _, loc, scale = self.scaling(recent, observed)
        parts = [embed(code) for embed, code in zip(self.categories, self._codes(categories), strict=True)]
        if self.static_reals:
            if reals is None or reals.shape[-1] != self.static_reals:
                got = None if reals is None else list(reals.shape)
                raise ZooError(f"static_real_features are [B, {self.static_reals}] for this model; got {got}.")
            parts.append(reals)
        static = torch.cat([*parts, loc.squeeze(1).abs().log1p(), scale.squeeze(1).log()], -1)
        return (past - loc) / scale, loc, scale, static

    def _codes(self, categories: Tensor | None) -> tuple[Tensor, ...]:
        count = len(self.categories)
        if count and (categories is None or categories.shape[-1] != count):
            got = None if categories is None else list(categories.shape)
            raise ZooError(f"static_categorical_features are [B, {count}] for this model; got {got}.")
        return categories.unbind(-1) if categories is not None and count else ()

    def _encode(self, z: Tensor, static: Tensor, times: Tensor | None) -> Tensor:
        inputs = self._inputs(z, static, None if times is None else times[:, -self.context :], self.context, z.shape[1])
        x = self.drop(self.norm(self._placed(self.embed(inputs), 0)))
        for i, block in enumerate(self.encoder):
            if self._left_out(self.layer_drop):
                continue
            x = block(x)
            x = self.distil[i](x) if i < len(self.distil) else x
        return x

    def _decode(self, z: Tensor, static: Tensor, times: Tensor | None, seen: Tensor, steps: int) -> Tensor:
        """The first `steps` steps of the horizon, of which z holds all but the last, or more: [B, steps, dim]."""
        inputs = self._inputs(z, static, times, steps, self.past_length + steps)
        x = self.drop(self.decoder_norm(self._placed(self.decoder_embed(inputs), self.context)))
        for block in self.decoder:
            if not self._left_out(self.decoder_layer_drop):
                x = block(x, cross_attn=dict(context=seen))
        return x

    def _inputs(self, z: Tensor, static: Tensor, times: Tensor | None, steps: int, end: int) -> Tensor:
        """What the `steps` steps before step `end` read: [B, steps, wide]."""
        first = end - steps
        lagged = torch.stack([z[:, first - lag : end - lag] for lag in self.lags], -1).flatten(2)
        parts = [lagged, static.unsqueeze(1).expand(-1, steps, -1)]
        return torch.cat(parts if times is None else [*parts, times], -1)

    def _placed(self, x: Tensor, first: int) -> Tensor:
        return self.position.embed(x, torch.arange(first, first + x.shape[1], device=x.device))

    def _left_out(self, rate: float) -> bool:
        return bool(self.training and rate and torch.rand([]) < rate)

    def _said(self, steps: Tensor, loc: Tensor, scale: Tensor) -> Forecast:
        return self.head(self.proj(steps).unflatten(-1, (self.channels, self.head.width)), loc, scale)

    def _window(self, x: Tensor, steps: int, name: str) -> Tensor:
        wide = x.unsqueeze(-1) if x.ndim == 2 else x
        if list(wide.shape[1:]) != [steps, self.channels]:
            more = "" if self.channels > 1 else f" or [B, {steps}]"
            raise ZooError(f"{name} are [B, {steps}, {self.channels}]{more} for this model; got {list(x.shape)}.")
        return wide

    def _times(self, x: Tensor | None, steps: int, name: str) -> Tensor | None:
        if not self.time_features:
            return None
        if x is None or list(x.shape[1:]) != [steps, self.time_features]:
            got = None if x is None else list(x.shape)
            raise ZooError(f"{name} are [B, {steps}, {self.time_features}] for this model; got {got}.")
        return x


def _one_channel(said: Forecast) -> Forecast:
    """Without the axis of the one channel."""
    params = None if said.params is None else tuple(x.squeeze(-1) for x in said.params)
    loc, scale = (None if x is None else x.squeeze(-1) for x in (said.loc, said.scale))
    return Forecast(said.mean.squeeze(-1), None, params, loc, scale)


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
