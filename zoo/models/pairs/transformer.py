"""The Transformer: attention alone. Vaswani et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.attention import Attention, Causal, Full, Padding, Pattern, Position, Sinusoidal, make_pattern, unbind
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
        bound, attention = unbind(attention or Attention, "pattern")
        hidden = hidden or 4 * dim
        sides = Sides(dim, num_heads, hidden, attention, position or Sinusoidal, norm, order, dropout, attn_dropout)
        super().__init__(source_vocab, target_vocab, math.sqrt(dim), sides.position, dropout)
        joint = source_vocab == target_vocab if joint is None else joint
        if joint and source_vocab != target_vocab:
            raise ZooError(
                f"model.joint=true is one matrix for both vocabularies, which have {source_vocab} and {target_vocab} tokens: "
                "leave it out, or take one tokenizer for both."
            )
        self.embed = nn.Embedding(target_vocab, dim)
        self.source_embed = self.embed if joint else nn.Embedding(source_vocab, dim)
        self.head = nn.Linear(dim, target_vocab, bias=False)
        self.head.weight = self.embed.weight
        sees = make_pattern(pattern or bound or Full(), num_heads=num_heads)
        self.encoder = sides.encoder(depth, sees)
        self.decoder = sides.decoder(depth if decoder_depth is None else decoder_depth, sees & Causal())
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
        return self.look(self.encoder.end(x), lengths)
