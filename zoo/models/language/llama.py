"""Llama: scaled dot x causal x RoPE, RMSNorm before each sublayer, SwiGLU, grouped queries, no biases. Touvron et al. 2023."""

from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from zoo.attention import RoPE
from zoo.declared import declared
from zoo.layers import GatedFeedForward
from zoo.models.language.decoder import Decoder


def two_thirds(dim: int, multiple: int = 32) -> int:
    """Two thirds of 4 dim, so that three maps have the parameters of two; rounded up. Touvron et al. 2023, section 2.2."""
    return -(-(8 * dim // 3) // multiple) * multiple


@declared
class Llama(Decoder):
    """A decoder with Llama's parts: RoPE, RMSNorm, a gated feed-forward with SiLU, no biases. Arguments: see `Decoder`;
    `num_kv_heads` below `num_heads` are grouped queries (Ainslie et al. 2023)."""

    usual = MappingProxyType({**Decoder.usual, "position": "zoo.attention.RoPE"})
    parts = MappingProxyType(
        {
            **Decoder.parts,
            "position": RoPE,
            "norm": partial(nn.RMSNorm, eps=1e-5),
            "feed_forward": partial(GatedFeedForward, act=nn.SiLU),
            "hidden": two_thirds,
            **dict.fromkeys(("qkv_bias", "out_bias", "mlp_bias"), False),
        }
    )


def _config(context: int, dim: int, depth: int, num_heads: int, vocab_size: int, **more: Any) -> dict[str, Any]:
    sizes = dict(vocab_size=vocab_size, context=context, dim=dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.language.llama.Llama", **sizes, **more}


#: llama2.c's models of TinyStories, and ours
CONFIGS: dict[str, dict[str, Any]] = {
    "llama_15m": _config(256, 288, 6, 6, 32000),
    "llama_42m": _config(1024, 512, 8, 8, 32000),
    "llama_110m": _config(1024, 768, 12, 12, 32000),
    "llama_mini": _config(256, 128, 4, 4, 4096, num_kv_heads=2),
}
