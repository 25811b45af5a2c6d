"""A decoder of Transformer blocks: it looks at what was said, then at what an encoder has read, whatever that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.attention import Attention, Memory, ModelCache, OutputProjection, Pattern, Position, SeparateQKV, build
from zoo.errors import ZooError, nearest
from zoo.layers import Block, FeedForward, post_norm, pre_norm
from zoo.models.pairs.base import PairModel

ROOM = 64  # tokens that a cache begins with
ORDERS: dict[str, Callable[..., Tensor]] = {"post_norm": post_norm, "pre_norm": pre_norm}


@dataclass(frozen=True, eq=False)
class Read:
    """What each block of the decoder looks at."""

    seen: tuple[Memory, ...]

    def select(self, index: Tensor) -> Read:
        """Sentence i is what sentence index[i] was."""
        return Read(tuple(each.select(index) for each in self.seen))

    def repeat(self, n: int) -> Read:
        """For n rows a sentence: a `Memory` answers them as it is."""
        return self


@dataclass(frozen=True, eq=False)
class Replay:
    """Where the decoder stands: the tokens that it has read, and their keys and values; None where there are none to go on
    from (with gradients, which a cache has not, or among other rows), and all is read again."""

    ids: Tensor
    cache: ModelCache | None = None

    def reorder(self, index: Tensor) -> Replay:
        """Row i goes on from where row index[i] stood."""
        same = self.cache is not None and len(index) == len(self.ids)
        if same:
            cast(ModelCache, self.cache).reorder(index)
        return Replay(self.ids.index_select(0, index), self.cache if same else None)


class Side(nn.Module):
    """Blocks, and the norm behind them that the stream needs where each sublayer has its norm in front."""

    def __init__(self, blocks: list[Block], norm: nn.Module | None):
        super().__init__()
        self.blocks, self.norm = nn.ModuleList(blocks), norm

    def end(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


class Sides:
    """Makes the sides of a model: blocks of two sublayers (attn, mlp), or of a decoder's three (attn, cross, mlp).

    Args:
        dim, num_heads, hidden: the usual sizes.
        attention, norm, feed_forward: factories.
        position: factory; added to the tokens, or inside each self-attention.
            feed_forward None: `FeedForward` with ReLU.
        order: "post_norm" or "pre_norm", which has a norm behind the last block; or a function, see `Block`.
        dropout: on each sublayer.
        attn_dropout: of weights.

    Raises: ZooError for an order without a name.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden: int,
        attention: Callable[..., nn.Module] = Attention,
        position: Callable[..., Position] = Position,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        order: str | Callable[..., Tensor] = "post_norm",
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        feed_forward: Callable[..., nn.Module] | None = None,
    ):
        if isinstance(order, str):
            if order not in ORDERS:
                raise ZooError(f"model.order={order} is unknown; {nearest(order, ORDERS)}")
            order = ORDERS[order]
        self.attention = partial(
            build, attention, dim=dim, num_heads=num_heads, dropout=attn_dropout,
            output=partial(OutputProjection, dropout=dropout),
        )  # fmt: skip
        inner = feed_forward or partial(FeedForward, act=nn.ReLU)
        self.mlp = partial(build, inner, dim=dim, hidden=hidden, dropout=dropout)
        self.block = partial(Block, dim, norm=norm, order=order)
        self.norm = partial(norm, dim) if order is not post_norm else lambda: None
        self.place = partial(build, position, dim=dim, num_heads=num_heads, head_dim=dim // num_heads)
        first: Position = self.place()
        self.inside = first.acts_inside
        #: What is added to tokens.
        self.position = first if "tokens" in first.acts_on else Position()

    def encoder(self, depth: int, sees: Pattern) -> Side:
        """Blocks that look at their own tokens."""
        return self._side(dict(attn=self._to_itself(sees)) for _ in range(depth))

    def decoder(self, depth: int, sees: Pattern) -> Side:
        """Blocks that look at their own tokens, then at a context."""
        return self._side(
            dict(attn=self._to_itself(sees), cross=self.attention(projection=SeparateQKV)) for _ in range(depth)
        )

    def _to_itself(self, sees: Pattern) -> nn.Module:
        return self.attention(pattern=sees, position=self.place() if self.inside else None)

    def _side(self, attentions: Iterable[dict[str, Any]]) -> Side:
        blocks = [self.block(**each, mlp=self.mlp()) for each in attentions]
        return Side(blocks, self.norm())


class DecoderModel(PairModel):
    """A model of pairs with such a decoder. A family makes `embed`, `head`, `decoder`, and defines `encode`, which ends with
    `look`.

    Args:
        source_vocab, target_vocab: see `PairModel`.
        scale: what embeddings are multiplied by.
        position: added to the tokens.
        dropout: on embeddings.
        norm: behind embeddings and places; None: none.
    """

    embed: nn.Embedding
    head: nn.Linear
    decoder: Side

    def __init__(
        self,
        source_vocab: int | None,
        target_vocab: int,
        scale: float,
        position: Position,
        dropout: float = 0.0,
        norm: nn.Module | None = None,
    ):
        super().__init__(source_vocab, target_vocab)
        self.scale, self.position, self.embed_norm, self.drop = scale, position, norm, nn.Dropout(dropout)

    @property
    def max_length(self) -> int | None:  # type: ignore[override]
        """Tokens that a target may have: as many as there are learned places."""
        return self.position.length

    def look(self, x: Tensor, lengths: Tensor | None = None) -> Read:
        """What the decoder's blocks will look at, of an encoder's states [B, S, dim]."""
        return Read(tuple(cast(Any, block).cross.remember(x, lengths) for block in self.decoder.blocks))

    def decode(self, target: Tensor, memory: Read, state: Replay | None = None) -> tuple[Tensor, Replay]:
        before = 0 if state is None else state.ids.shape[1]
        ids = target if state is None else torch.cat([state.ids, target], 1)
        self.check_length(ids.shape[1])
        cache, start = (None, 0) if torch.is_grad_enabled() else self._room(state, ids)
        pos = torch.arange(start, ids.shape[1], device=ids.device)
        y = self._placed(self.embed(ids[:, start:]), pos, self.position, self.embed_norm)
        for i, (block, seen) in enumerate(zip(self.decoder.blocks, memory.seen, strict=True)):
            y = block(y, cache=None if cache is None else cache[i], cross=dict(context=seen))
        return self.head(self.decoder.end(y)[:, before - start :]), Replay(ids, cache)

    def _room(self, state: Replay | None, ids: Tensor) -> tuple[ModelCache | None, int]:
        """A cache with room for all tokens, and how many it holds; a new one, of twice the length, where there is none."""
        cache, n = (None, 0) if state is None else (state.cache, state.ids.shape[1])
        if cache is not None and ids.shape[1] <= cache.length:
            return cache, n
        attentions = [cast(Any, block).attn for block in self.decoder.blocks]
        weight = self.embed.weight
        length = max(ROOM, 2 * ids.shape[1])
        return ModelCache.of(attentions, len(ids), length, dtype=weight.dtype, device=weight.device), 0

    def _placed(self, x: Tensor, pos: Tensor, position: Position, norm: nn.Module | None) -> Tensor:
        x = position.embed(x * self.scale, pos)
        return self.drop(x if norm is None else norm(x))
