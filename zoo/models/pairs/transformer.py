"""The Transformer: attention alone. Vaswani et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.attention import (
    Attention,
    Causal,
    Full,
    Memory,
    ModelCache,
    OutputProjection,
    Padding,
    Pattern,
    Position,
    SeparateQKV,
    Sinusoidal,
    build,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError, nearest
from zoo.layers import Block, FeedForward, post_norm, pre_norm, xavier
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


@declared
class Transformer2017(PairModel):
    """Encoder and decoder of self-attention, and a decoder that looks at the encoder in each block.

        encoder   x = LN(x + MHA(x));  x = LN(x + FFN(x))
        decoder   y = LN(y + MHA(y), causal);  y = LN(y + MHA(y, encoder));  y = LN(y + FFN(y))

    Vaswani et al. 2017, sections 3.1 to 3.5: embeddings times sqrt(dim), sinusoidal places, ReLU, the embedding as the map to
    the vocabulary (section 3.4). Weights start as Glorot's, embeddings with deviation dim^-1/2.

    Args:
        source_vocab, target_vocab: ids are below them.
        dim: width of the stream.
        depth, decoder_depth: blocks of the two sides; decoder_depth None: depth.
        num_heads: of each attention.
        hidden: of the feed-forward; None: 4 dim.
        joint: one matrix for both embeddings and the map to the vocabulary; None: where the vocabularies are of one size.
        attention: factory of each attention.
        pattern: of the self-attentions; in the decoder AND-ed to Causal().
        position: factory; added to the tokens, or inside each self-attention.
        norm: factory.
        order: "post_norm", the paper's, or "pre_norm", which has a norm behind the last block; or a function, see `Block`.
        dropout: on embeddings and each sublayer.
        attn_dropout: of weights.

    Raises: ZooError for joint embeddings of two vocabularies, and as `Attention`.
    """

    label_smoothing = 0.1  # section 5.4

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        dim: int = 512,
        depth: int = 6,
        decoder_depth: int | None = None,
        num_heads: int = 8,
        hidden: int | None = None,
        joint: bool | None = None,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        order: str | Callable[..., Tensor] = "post_norm",
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
    ):
        super().__init__(source_vocab, target_vocab)
        joint = source_vocab == target_vocab if joint is None else joint
        if joint and source_vocab != target_vocab:
            raise ZooError(
                f"model.joint=true is one matrix for both vocabularies, which have {source_vocab} and {target_vocab} tokens: "
                "leave it out, or take one tokenizer for both."
            )
        if isinstance(order, str):
            if order not in ORDERS:
                raise ZooError(f"model.order={order} is unknown; {nearest(order, ORDERS)}")
            order = ORDERS[order]
        self.scale = math.sqrt(dim)
        self.embed = nn.Embedding(target_vocab, dim)
        self.source_embed = self.embed if joint else nn.Embedding(source_vocab, dim)
        self.head = nn.Linear(dim, target_vocab, bias=False)
        self.head.weight = self.embed.weight
        self.drop = nn.Dropout(dropout)
        place = partial(build, position or Sinusoidal, dim=dim, num_heads=num_heads, head_dim=dim // num_heads)
        first: Position = place()
        self.position = first if "tokens" in first.acts_on else Position()

        bound, attention = unbind(attention or Attention, "pattern")
        sees = make_pattern(pattern or bound or Full(), num_heads=num_heads)
        shared: Any = dict(dim=dim, num_heads=num_heads, dropout=attn_dropout)
        shared["output"] = partial(OutputProjection, dropout=dropout)

        def to_itself(sees: Pattern) -> nn.Module:
            return build(attention, **shared, pattern=sees, position=place() if first.acts_inside else None)

        def block(**attentions: nn.Module) -> Block:
            mlp = FeedForward(dim, hidden or 4 * dim, nn.ReLU, dropout)
            parts: Any = {**attentions, "mlp": mlp}
            return Block(dim, **parts, norm=norm, order=order)

        encoder = [block(attn=to_itself(sees)) for _ in range(depth)]
        decoder = [
            block(attn=to_itself(sees & Causal()), cross=build(attention, **shared, projection=SeparateQKV))
            for _ in range(depth if decoder_depth is None else decoder_depth)
        ]
        behind = order is not post_norm
        self.encoder = Side(encoder, norm(dim) if behind else None)
        self.decoder = Side(decoder, norm(dim) if behind else None)
        for module in (*self.encoder.modules(), *self.decoder.modules()):
            xavier(module)
        for embedding in {self.embed, self.source_embed}:
            nn.init.normal_(embedding.weight, std=dim**-0.5)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Read:
        seen = {} if lengths is None else {"pattern": Padding(lengths)}
        pos = torch.arange(source.shape[1], device=source.device)
        x = self._placed(self.source_embed(source), pos)
        for block in self.encoder.blocks:
            x = block(x, **seen)
        x = self.encoder.end(x)
        return Read(tuple(cast(Any, block).cross.remember(x, lengths) for block in self.decoder.blocks))

    def decode(self, target: Tensor, memory: Read, state: Replay | None = None) -> tuple[Tensor, Replay]:
        before = 0 if state is None else state.ids.shape[1]
        ids = target if state is None else torch.cat([state.ids, target], 1)
        cache, start = (None, 0) if torch.is_grad_enabled() else self._room(state, ids)
        pos = torch.arange(start, ids.shape[1], device=ids.device)
        y = self._placed(self.embed(ids[:, start:]), pos)
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

    def _placed(self, x: Tensor, pos: Tensor) -> Tensor:
        return self.drop(self.position.embed(x * self.scale, pos))
