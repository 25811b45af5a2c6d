"""An image read by a ViT, and said by a Transformer's decoder, which looks at the patches while it says each word."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from zoo.attention import Attention, Causal, Linear, Pattern, Position, Sinusoidal, unbind
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import trunc_normal
from zoo.models import examples
from zoo.models.base import Model, Trunk
from zoo.models.examples import Draw
from zoo.models.pairs.decoder import DecoderModel, Read, Sides
from zoo.models.vision.vit import ViT


@declared
class Captioner(DecoderModel):
    """Images [B, C, H, W] and captions [B, T] -> logits [B, T, target_vocab] of what follows each word.

        patches = ViT(image)                              pre-norm, without a head
        y = y + MHA(LN y), causal;  y = y + MHA(LN y, patches);  y = y + FFN(LN y)

    The trunk is `ViT` (Dosovitskiy et al. 2021), the decoder that of `Transformer2017` (Vaswani et al. 2017): embeddings times
    sqrt(dim), which are the map to the vocabulary too. Xu et al. 2015 ("Show, attend and tell") have the same sentence with a
    CNN and an LSTM.

    Args:
        img_size: side, or (height, width).
        target_vocab: ids of captions are below it.
        patch_size: side of a patch.
        in_chans: C.
        dim: width of both sides.
        depth, decoder_depth: blocks of the trunk and of the decoder; decoder_depth None: depth.
        num_heads, mlp_ratio: of every block.
        class_token, reg_tokens: tokens before the patches, which the decoder sees too.
        attention: factory of each attention.
        pattern: which patches a patch sees, as of `ViT`; a caption sees what was said before.
        position: factory, of the patches.
        text_position: factory, of the words; added to them or inside the self-attentions. None: sinusoidal.
        order: of the decoder's sublayers: "pre_norm" or "post_norm".
        drop_path: of the trunk.
        dropout: on embeddings and each sublayer.
        attn_dropout: of weights.
        init: called on every module of the trunk.

    Where it looks: `record_attention(model)`["decoder.blocks.0.cross"], [B, H, T, num_prefix_tokens + rows * cols].
    Raises: ZooError for images of another size, lengths of images, and as `ViT`.
    """

    reads = ("captions",)
    usual = MappingProxyType({**Model.usual, "position": "zoo.attention.Learned2D"})
    trunk = Trunk(
        "encoder",
        ViT,
        (
            "patch_size", "dim", "depth", "num_heads", "mlp_ratio", "class_token", "reg_tokens", "attention", "pattern",
            "position",
        ),
        ends=("norm", "fc_norm", "pool"),
    )  # fmt: skip

    def __init__(
        self,
        img_size: int | tuple[int, int],
        target_vocab: int,
        patch_size: int = 4,
        in_chans: int = 1,
        dim: int = 64,
        depth: int = 4,
        decoder_depth: int | None = None,
        num_heads: int = 4,
        mlp_ratio: float = 4.0,
        class_token: bool = False,
        reg_tokens: int = 0,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        text_position: Callable[..., Position] | None = None,
        order: str | Callable[..., Tensor] = "pre_norm",
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        init: Callable[[nn.Module], None] = trunc_normal,
    ):
        _, plain = unbind(attention or Attention, "pattern")  # of the patches alone
        sides = Sides(
            dim, num_heads, int(dim * mlp_ratio), plain, text_position or Sinusoidal,
            order=order, dropout=dropout, attn_dropout=attn_dropout,
        )  # fmt: skip
        super().__init__(None, target_vocab, math.sqrt(dim), sides.position, dropout)
        self.encoder = ViT(
            img_size, patch_size, in_chans, 0, dim, depth, num_heads, mlp_ratio, attention=attention, pattern=pattern,
            position=position, class_token=class_token, reg_tokens=reg_tokens, pool="mean", pooled_norm=False,
            drop_path=drop_path, dropout=dropout, attn_dropout=attn_dropout, init=init,
        )  # fmt: skip
        self.grid, self.num_prefix_tokens = self.encoder.grid, self.encoder.num_prefix_tokens
        self.has_class_token = class_token
        self.embed = nn.Embedding(target_vocab, dim)
        self.head = Linear(dim, target_vocab, bias=False)
        self.head.weight = self.embed.weight
        self.decoder = sides.decoder(depth if decoder_depth is None else decoder_depth, Causal())
        for module in self.decoder.modules():
            init(module)
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        """`patch_size: null` becomes the one that fits the images, as of `ViT`."""
        return ViT.complete(config)

    def check(self, source: Tensor, lengths: Tensor | None) -> None:
        """Raises: ZooError for what are no images, or lengths of them."""
        if not isinstance(source, Tensor) or source.ndim != 4 or not source.is_floating_point():
            raise ZooError(f"A captioner takes images [B, C, H, W] of floats in a tensor; got {str(source)[:60]!r}.")
        if lengths is not None:
            raise ZooError("An image has no length: leave out lengths.")

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Read:
        return self.look(self.encoder.forward_features(source))

    def example(self, draw: Draw) -> Any:
        return examples.captions(self, draw)

    def describe(self) -> dict[str, str]:
        rows, cols = self.grid or (0, 0)
        return {
            "tokens": f"{rows} x {cols} patches + {self.num_prefix_tokens} before them",
            "vocabulary": f"{self.target_vocab:,} tokens of captions",
        }

    def no_weight_decay(self) -> set[str]:
        """As of the trunk; and the embedding, which is the map to the vocabulary, is decayed as maps are."""
        return {f"encoder.{name}" for name in self.encoder.no_weight_decay()}

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block of the trunk in the backward pass."""
        self.encoder.set_grad_checkpointing(on)
