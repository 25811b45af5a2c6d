"""The Transformer: attention alone. Vaswani et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zoo.attention import Attention, Causal, Full, Linear, Padding, Pattern, Position, Sinusoidal, make_pattern, unbind
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import xavier
from zoo.models.pairs.decoder import DecoderModel, Read, Sides


@declared
class Transformer2017(DecoderModel):
    """Encoder and decoder of self-attention, and a decoder that looks at the encoder in each block.

        encoder   x = LN(x + MHA(x));  x = LN(x + FFN(x))
        decoder   y = LN(y + MHA(y), causal);  y = LN(y + MHA(y, encoder));  y = LN(y + FFN(y))

    Vaswani et al. 2017, sections 3.1 to 3.5: embeddings times sqrt(dim), sinusoidal places, ReLU, the embedding as the map to
    the vocabulary (section 3.4). Weights start as Glorot's, embeddings with deviation dim^-1/2.

    Args:
        source_vocab, target_vocab: ids are below them.
        dim: width of the stream.
        depth, num_heads, hidden: blocks of each side, heads of each attention, width inside the feed-forward (None: 4 dim).
        decoder_depth, decoder_heads, decoder_hidden: the decoder's where they are others.
        joint: one matrix for both embeddings; None: where the vocabularies are of one size.
        tied: whether the target's embedding is the map to the vocabulary too.
        head_bias: whether that map has a bias.
        embed_scale: what embeddings are multiplied by; None: sqrt(dim).
        embed_norm: factory of a norm behind embeddings and places, as BART's; None: none.
        attention: factory of each attention.
        pattern: of the self-attentions; in the decoder AND-ed to Causal().
        position: factory; added to the tokens of each side, or inside each self-attention.
        feed_forward: factory; None: `FeedForward` with ReLU.
        norm: factory.
        order: "post_norm", the paper's, or "pre_norm", which has a norm behind the last block; or a function, see `Block`.
        dropout: on embeddings and each sublayer.
        attn_dropout: of weights.
        begin_tokens, end_tokens, suppress_tokens: ids for `generate`: what a target begins with (None: the tokenizer's bos),
            what ends it (None: the tokenizer's eos), what is never said.

    Raises: ZooError for joint embeddings of two vocabularies, ids outside that of targets, and as `Attention`.
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
        *,
        decoder_heads: int | None = None,
        decoder_hidden: int | None = None,
        tied: bool = True,
        head_bias: bool = False,
        embed_scale: float | None = None,
        embed_norm: Callable[[int], nn.Module] | None = None,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        feed_forward: Callable[..., nn.Module] | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        order: str | Callable[..., Tensor] = "post_norm",
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        begin_tokens: Sequence[int] | None = None,
        end_tokens: Sequence[int] | None = None,
        suppress_tokens: Sequence[int] = (),
    ):
        bound, attention = unbind(attention or Attention, "pattern")
        hidden, heads = hidden or 4 * dim, decoder_heads or num_heads
        parts = (attention, position or Sinusoidal, norm, order, dropout, attn_dropout, feed_forward)
        here, there = Sides(dim, num_heads, hidden, *parts), Sides(dim, heads, decoder_hidden or hidden, *parts)
        scale = math.sqrt(dim) if embed_scale is None else embed_scale
        super().__init__(
            source_vocab, target_vocab, scale, there.position, dropout, embed_norm(dim) if embed_norm else None
        )
        for name, ids in (("begin", begin_tokens), ("end", end_tokens), ("suppress", suppress_tokens)):
            if wrong := [id for id in ids or () if type(id) is not int or not 0 <= id < target_vocab]:
                raise ZooError(
                    f"model.{name}_tokens has {wrong[0]!r:.80}, which is no id of what is said: these are below {target_vocab}."
                )
        self.begin_tokens = None if begin_tokens is None else tuple(begin_tokens)
        self.end_tokens = None if end_tokens is None else tuple(end_tokens)
        self.suppress_tokens = tuple(suppress_tokens)
        self.source_position, self.source_norm = here.position, embed_norm(dim) if embed_norm else None
        joint = source_vocab == target_vocab if joint is None else joint
        if joint and source_vocab != target_vocab:
            raise ZooError(
                f"model.joint=true is one matrix for both vocabularies, which have {source_vocab} and {target_vocab} tokens: "
                "leave it out, or take one tokenizer for both."
            )
        self.embed = nn.Embedding(target_vocab, dim)
        self.source_embed = self.embed if joint else nn.Embedding(source_vocab, dim)
        self.head = Linear(dim, target_vocab, bias=head_bias)
        if tied:
            self.head.weight = self.embed.weight
        sees, sees_before = (make_pattern(pattern or bound or Full(), num_heads=each) for each in (num_heads, heads))
        self.encoder = here.encoder(depth, sees)
        self.decoder = there.decoder(depth if decoder_depth is None else decoder_depth, sees_before & Causal())
        for module in (*self.encoder.modules(), *self.decoder.modules()):
            xavier(module)
        for matrix in dict.fromkeys((self.embed.weight, self.source_embed.weight, self.head.weight)):
            nn.init.normal_(matrix, std=dim**-0.5)
        if head_bias:
            nn.init.zeros_(self.head.bias)

    def embeddings(self) -> dict[str, nn.Embedding]:
        return {"source": self.source_embed, "target": self.embed}

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Read:
        seen = {} if lengths is None else {"pattern": Padding(lengths)}
        pos = torch.arange(source.shape[1], device=source.device)
        x = self._placed(self.source_embed(source), pos, self.source_position, self.source_norm)
        for block in self.encoder.blocks:
            x = block(x, **seen)
        return self.look(self.encoder.end(x), lengths)
