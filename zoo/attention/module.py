"""Attention as a layer: projections, heads, position, cache and recording around one AttentionCall."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.attention.cache import KVCache, Slots
from zoo.attention.call import AttentionCall
from zoo.attention.dispatch import run
from zoo.attention.memory import Memory, places_of
from zoo.attention.parts import build
from zoo.attention.patterns import Full, Pattern
from zoo.attention.patterns.base import check_part
from zoo.attention.positions import Position
from zoo.attention.projections import FusedQKV, OutputProjection, Projection
from zoo.attention.scores import ScaledDot, Score
from zoo.declared import declared
from zoo.errors import ZooError


@declared
class Attention(nn.Module):
    """Multi-head attention: heads(softmax(score(q, k) + bias) v), with every axis a part.

    Vaswani et al. 2017, section 3.2.2; grouped queries as in Ainslie et al. 2023, one key/value head as in Shazeer 2019.

    Args:
        dim: width of the tokens.
        num_heads: H.
        head_dim: D, default dim / num_heads.
        num_kv_heads: default H.
        score, position, projection, output, qk_norm: modules, or factories that take what they name of dim, num_heads,
            num_kv_heads, head_dim, bias, edge_dim (see `zoo.attention.parts.build`). None: scaled dot, none, fused,
            concatenated, none.
        edges: the same for what maps the features of edges to [E, H, D], to be added to keys and values. None: the score is
            given them as they are.
        pattern: the static pattern; a run-time pattern is AND-ed to it.
        query_places: False for queries that stand nowhere (latents that read a context): patterns and positions that look at
            the query's place are refused. True: query i stands at i + K - Q, the queries are the last of the keys.
        kernel: None for the fastest that can, or a name that is never departed from.
        dropout: of weights, in training.
        drop: function (weights, rate) that does it; `byte_dropout` is several times as fast on a CPU.
        bias: whether the projections have one.
        edge_dim: width of the features of edges, 0 for none.

    Raises:
        ZooError: dim that the heads do not divide, key/value heads that do not divide the heads, a position that
            belongs on the tokens, a pattern that is a class, a projection or score that is none, places asked of queries
            that have none.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        *,
        score: nn.Module | Callable[..., nn.Module] | None = None,
        pattern: Pattern | None = None,
        position: Position | Callable[..., Position] | None = None,
        projection: nn.Module | Callable[..., nn.Module] | None = None,
        output: nn.Module | Callable[..., nn.Module] | None = None,
        qk_norm: Callable[[int], nn.Module] | None = None,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        kernel: str | None = None,
        dropout: float = 0.0,
        drop: Callable[[Tensor, float], Tensor] = F.dropout,
        bias: bool = True,
        edges: nn.Module | Callable[..., nn.Module] | None = None,
        edge_dim: int = 0,
        query_places: bool = True,
    ):
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if min(dim, num_heads, num_kv_heads, 1 if head_dim is None else head_dim) < 1:
            raise ZooError(f"Sizes must be positive; got {dim=}, {num_heads=}, {num_kv_heads=}, {head_dim=}.")
        if head_dim is None and dim % num_heads:
            raise ZooError(f"dim={dim} is not divisible by num_heads={num_heads}: change one, or give head_dim.")
        if num_heads % num_kv_heads:
            raise ZooError(f"num_heads={num_heads} is not divisible by num_kv_heads={num_kv_heads}: change one.")
        head_dim = head_dim or dim // num_heads
        facts = dict(dim=dim, num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=head_dim, bias=bias)
        facts["edge_dim"] = edge_dim
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, head_dim
        self.projection = build(projection or FusedQKV, **facts)
        check_part("projection", self.projection, Projection)
        self.q_norm = qk_norm(head_dim) if qk_norm else None
        self.k_norm = qk_norm(head_dim) if qk_norm else None
        self.position = build(position, **facts)
        if self.position is not None and not self.position.acts_inside:
            raise ZooError(
                f"{type(self.position).__name__} is added to the tokens before the first layer: "
                "call its `embed` there; Attention takes positions that rotate or bias (RoPE, ALiBi, RelativeBias)."
            )
        self.score = build(score or ScaledDot, **facts)
        check_part("score", self.score, Score)
        self.output = build(output or OutputProjection, **facts)
        self.edges = build(edges, **facts) if edge_dim else None
        self.query_places = query_places
        if not query_places and self.position is not None:
            raise ZooError(f"{type(self.position).__name__} uses the query's place: query_places=False has none.")
        self.pattern = Full() if pattern is None else self._checked(pattern)
        self.kernel, self.dropout, self.drop = kernel, dropout, drop
        self.recorder: Callable[[AttentionCall], None] | None = None  # set by record_attention

    def forward(
        self,
        x: Tensor,
        context: Tensor | Memory | None = None,
        *,
        pattern: Pattern | None = None,
        pos: Tensor | None = None,
        places: Tensor | None = None,
        q_pos: Tensor | None = None,
        cache: KVCache | None = None,
        bias: Tensor | None = None,
        need_logits: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """[B, N, dim] -> [B, N, dim]; with `need_logits` that and the logits, [B, H, N, K].

        Args:
            context: [B, M, context_dim], what is attended to, or what `remember` made of it, be it of B / n samples, each for
                n rows that stand together (beams); default the tokens themselves.
            pattern: AND-ed to the static one.
            pos: [N] or [B, N], places of the tokens for the position part; default `places`, with 0 for what is no token.
            places: [N] or [B, N], places of the tokens for patterns, and for biases where they are given or there is a
                cache: where rows are padded, a row's own tokens counted from 0 and -1 for what is no token, which nobody
                sees. Default: the order in the sequence, 0..N-1, or what follows the cache.
            q_pos: [N] or [B, N], places of the queries in a context, for patterns and for the position part (there default of
                `pos`): a decoder's token t stands at t. Default: the queries are the last of the context, i + M - N.
            cache: a KVCache: the new keys are appended and all are attended to. With a context it is filled once, and
                from the second call on what looks at the query's place needs `q_pos`: how many queries there will be is not
                known.
            bias: finite numbers, broadcastable to [B, H, N, K], added to the logits beside the position's; what hides keys
                is a pattern.
            need_logits: return the logits too, bias included, before the softmax, -inf where the pattern forbids. With
                those of one layer as the next one's bias, layers share a residual stream of scores (He et al. 2020, RealFormer,
                section 2; Nie et al. 2023, PatchTST):

                    out, logits = layer1(x, need_logits=True);  out, logits = layer2(out, bias=logits, need_logits=True)

        Raises:
            ZooError: a bias that does not fit; places of a context, whose padding is a pattern, `Padding(mask)`; q_pos
                without one; see also the parts.
        """
        if isinstance(context, Memory) and len(context) != len(x):
            how = dict(pattern=pattern, pos=pos, places=places, cache=cache, bias=bias)
            return self._of_rows(x, context, q_pos, need_logits or any(each is not None for each in how.values()))
        pattern = self.pattern if pattern is None else self.pattern & self._checked(pattern)
        k_pos, k_seen, score = places, None, self.score
        if isinstance(context, Memory):
            if places is not None or cache is not None:
                raise ZooError("A memory holds keys and values of a context already: leave out cache= and places=.")
            q, placed = self._read_memory(x, context, q_pos if pos is None else pos)
            k, v, k_pos, k_seen, score = context.k, context.v, context.k_pos, context.k_seen, context.score
        elif context is not None:
            if places is not None:
                raise ZooError(
                    "places are those of tokens that attend to themselves; a context's padding is Padding(mask)."
                )
            q, k, v, placed = self._read_context(x, context, pattern, q_pos if pos is None else pos, q_pos, cache)
        elif q_pos is not None:
            raise ZooError(
                "q_pos says where queries stand in a context; of tokens that attend to themselves give places."
            )
        else:
            q_pos = places
            q, k, v = self.projection(x, None)
            q, k = self._normed(q, self.q_norm), self._normed(k, self.k_norm)
            if cache is None:
                q, k, placed = self._placed(q, k, pos, places)
            else:
                if self.position is not None:
                    pos = self._follow(cache, q.shape[2], places) if pos is None else pos
                    q, k = self.position.rotate_both(q, k, pos)
                k, v, k_pos, q_pos, pattern = self._slots(cache.append(k, v, places), pattern, q.shape[2])
                placed = self._bias(q.shape[2], k.shape[2], q_pos, k_pos, q.device)
        pattern, on_edges = self._on_edges(pattern)
        needs = cache is not None and cache.wants_weights
        call = AttentionCall(
            q, k, v, score, pattern, placed if bias is None else bias if placed is None else placed + bias,
            self.dropout if self.training else 0.0, needs, need_logits, q_pos, k_pos, on_edges, self.training,
            cached=cache is not None and context is None, drop=self.drop, finite_bias=placed is None,
            cross=context is not None, clean=isinstance(context, Memory), k_seen=k_seen,
        )  # fmt: skip
        seen = run(call, self.kernel)
        if needs and cache is not None and seen.weights is not None:
            cache.observe(seen.weights, q_pos)
        if self.recorder is not None:
            self.recorder(call)
        if not need_logits:
            return self.output(seen.out)
        assert seen.logits is not None  # asked for
        return self.output(seen.out), seen.logits

    @staticmethod
    def _follow(cache: KVCache, n: int, places: Tensor | None) -> Tensor:
        """The places that n tokens after a cache are turned by."""
        return cache.next_places(n) if places is None else places.clamp(min=0)

    @staticmethod
    def _slots(slots: Slots, pattern: Pattern, n: int) -> Slots:
        """What n queries attend to of what a cache hands over: under a window, the keys that lie in it."""
        k, v, k_pos, q_pos, more = slots
        pattern = pattern & more
        keys = k.shape[2] if pattern.reach is None or k_pos is not None else pattern.reach + n - 1
        if keys < k.shape[2]:
            k_pos = torch.arange(k.shape[2] - keys, k.shape[2], device=k.device)
            k, v, q_pos = k[:, :, -keys:], v[:, :, -keys:], k_pos[keys - n :]
        return Slots(k, v, k_pos, q_pos, pattern)

    def _placed(
        self, q: Tensor, k: Tensor, pos: Tensor | None, places: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """q and k of the same tokens turned by their places, and the bias."""
        if self.position is None:
            return q, k, None
        if pos is None:
            pos = torch.arange(q.shape[2], device=q.device) if places is None else places.clamp(min=0)
        apart = pos if places is None else places.clamp(min=0)
        return *self.position.rotate_both(q, k, pos), self.position.bias(apart, apart)

    def _bias(self, Q: int, K: int, q_pos: Tensor | None, k_pos: Tensor | None, device: torch.device) -> Tensor | None:
        """The bias beside a cache, by places."""
        if self.position is None or "logits" not in self.position.acts_on:
            return None
        if q_pos is None or k_pos is None:
            k_pos = torch.arange(K, device=device)
            return self.position.bias(k_pos[K - Q :], k_pos)
        q_pos, k_pos = q_pos.clamp(min=0), k_pos.clamp(min=0)
        if k_pos.ndim < 3:
            return self.position.bias(q_pos, k_pos)
        return self._bias_of_heads(q_pos, k_pos)

    def _bias_of_heads(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | None:
        """The bias where each key/value head has keys of its own, k_pos [B, H_kv, K]."""
        each = []
        for h, places in enumerate(k_pos.unbind(1)):
            bias = self.position.bias(q_pos, places)
            if bias is None:
                return None
            of = slice(h * self.num_heads // self.num_kv_heads, (h + 1) * self.num_heads // self.num_kv_heads)
            each.append(bias.expand(-1, self.num_heads, -1, -1)[:, of])
        return torch.cat(each, 1)

    def _read_context(
        self,
        x: Tensor,
        context: Tensor,
        pattern: Pattern,
        pos: Tensor | None,
        q_pos: Tensor | None,
        cache: KVCache | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """q of the tokens, k and v of another sequence, and the bias; query i has place i + K - Q where none is given."""
        if cache is None:
            q, k, v = self.projection(x, context)
        else:
            self._check_step(cache, pattern, pos, q_pos)
            q = self.projection.queries(x)
            k, v = self._cached_context(context, cache, q)
        q, k = self._normed(q, self.q_norm), self._normed(k, self.k_norm)
        if self.position is None:
            return q, k, v, None
        Q, K = q.shape[2], k.shape[2]
        if Q > K and pos is None:
            raise ZooError(f"{Q} queries on {K} keys have no places: {type(self.position).__name__} needs Q <= K.")
        k_pos = torch.arange(K, device=q.device)
        own = pos if pos is not None else k_pos[K - Q :]
        return self.position.rotate(q, own), self.position.rotate(k, k_pos), v, self.position.bias(own, k_pos)

    def remember(self, context: Tensor, lengths: Tensor | None = None, *, mask: Tensor | None = None) -> Memory:
        """A context [B, M, context_dim] as this layer reads it, for many calls: `forward(x, memory, q_pos=...)`.

        Args:
            lengths: [B], how many tokens of each sample there are, standing first; or
            mask: [B, M] bool, True = a token.

        Raises: ZooError for both, or shapes that do not fit.
        """
        k, v = self.projection.keys_values(context)
        k = self._normed(k, self.k_norm)
        k_pos = places_of(k, lengths, mask)
        if self.position is not None:
            k = self.position.rotate(
                k, torch.arange(k.shape[2], device=k.device) if k_pos is None else k_pos.clamp(min=0)
            )
        seen = None if k_pos is None else (k_pos >= 0)[:, None, None]
        if seen is not None:  # a NaN there reaches nobody
            k, v = torch.where(seen.mT, k, 0), torch.where(seen.mT, v, 0)
        score, k = self.score.on_keys(k)
        return Memory(
            k, v.to(k.dtype), score, k_pos, seen
        )  # under autocast what is mapped is narrower than what is not

    def _of_rows(self, x: Tensor, memory: Memory, q_pos: Tensor | None, more: bool) -> Tensor | tuple[Tensor, Tensor]:
        """Several rows a sample, as its beams are: their tokens are further queries of that sample, whose keys are read once.
        Where a query's place matters and nobody gives it, each row has keys of its own, as it would alone."""
        rows, n = len(x), len(x) // max(1, len(memory))
        if n * len(memory) != rows or more:
            raise ZooError(
                f"A memory of {len(memory)} samples answers as many rows, or several each; got {rows}"
                f"{', with arguments that are of one row a sample' if more else ''}."
            )
        if q_pos is None and (self.pattern.uses_query or self.position is not None):
            return self.forward(x, memory.select(torch.arange(len(memory), device=x.device).repeat_interleave(n)))
        if q_pos is not None:
            q_pos = q_pos.expand(rows, -1).reshape(len(memory), -1) if q_pos.ndim == 2 else q_pos.repeat(n)
        out = self.forward(x.reshape(len(memory), -1, x.shape[-1]), memory, q_pos=q_pos)
        assert isinstance(out, Tensor)  # no logits were asked for
        return out.reshape(rows, -1, out.shape[-1])

    def _read_memory(self, x: Tensor, memory: Memory, pos: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """q of the tokens, and the bias on what is remembered."""
        q = self._normed(self.projection.queries(x), self.q_norm).to(memory.v.dtype)
        if self.position is None:
            return q, None
        if pos is None:
            raise ZooError(f"{type(self.position).__name__} needs the places of queries on a memory: give q_pos=.")
        k_pos = torch.arange(memory.k.shape[2], device=q.device) if memory.k_pos is None else memory.k_pos.clamp(min=0)
        return self.position.rotate(q, pos), self.position.bias(pos, k_pos)

    def _on_edges(self, pattern: Pattern) -> tuple[Pattern, Tensor | None]:
        """The pattern with its edges' features as the score takes them, and what they add to the values."""
        edges = pattern.edges
        if edges is None or edges.features is None or self.edges is None:
            return pattern, None
        mapped = self.edges(edges.features)
        return pattern.index_pattern & edges.with_features(mapped, check=False), mapped

    def _checked(self, pattern: Pattern) -> Pattern:
        """The pattern; raises ZooError if it is none, or if it looks at a place that the queries have not."""
        check_part("pattern", pattern, Pattern)
        if not self.query_places and pattern.uses_query:
            raise ZooError(
                f"{pattern} looks at the query's place, and query_places=False says that there is none: "
                "take a pattern that looks at keys alone (Full, Padding, Prefix)."
            )
        return pattern

    def _check_step(self, cache: KVCache, pattern: Pattern, pos: Tensor | None, q_pos: Tensor | None) -> None:
        """Raise ZooError where further queries on a cached context need a place that nobody gave."""
        if cache.answered and pattern.uses_query and q_pos is None:
            raise ZooError(
                f"{pattern} looks at the query's place, which steps on a cached context do not have: give q_pos=, for a step "
                "t torch.tensor([t])."
            )
        if cache.answered and pos is None and self.position is not None:
            raise ZooError(
                f"{type(self.position).__name__} needs the places of these queries: this cache has answered others, and how "
                "many there will be is not known. Give pos=, for a step t torch.tensor([t]), from the first call on; or "
                "cache.reset()."
            )
        cache.answered = True

    def _cached_context(self, context: Tensor, cache: KVCache, q: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a context that does not change: projected once, then read from the cache."""
        length = context.shape[1]
        if cache.context_length is None:
            cache.append(*self.projection.keys_values(context))
            cache.context_length = length
        if cache.context_length != length:
            raise ZooError(
                f"The cache holds a context of {cache.context_length}, but this one has {length}: cache.reset() first."
            )
        return cache.read(q, length)

    @staticmethod
    def _normed(x: Tensor, norm: nn.Module | None) -> Tensor:
        return x if norm is None else norm(x).to(x.dtype)  # under autocast on a GPU norms answer in float32

    def extra_repr(self) -> str:
        kernel = self.kernel or "the fastest"
        return f"heads={self.num_heads}/{self.num_kv_heads} x {self.head_dim}, pattern={self.pattern}, kernel={kernel}"
