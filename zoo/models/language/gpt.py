"""GPT: scaled dot x causal x learned, LayerNorm before each sublayer, GELU. Radford et al. 2019 (GPT-2), section 2.3."""

from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from zoo.attention import Learned
from zoo.declared import declared
from zoo.layers import FeedForward
from zoo.models.language.decoder import Decoder


@declared
class GPT(Decoder):
    """A decoder with GPT-2's parts: learned positions, LayerNorm, a feed-forward 4 dim wide with GELU (its approximation by
    tanh, as GPT-2 was trained with), biases everywhere, a head that is the embedding. Arguments: see `Decoder`."""

    parts = MappingProxyType(
        {
            **Decoder.parts,
            "position": Learned,
            "norm": partial(nn.LayerNorm, eps=1e-5),
            "feed_forward": partial(FeedForward, act=partial(nn.GELU, approximate="tanh")),
        }
    )


def _config(context: int, dim: int, depth: int, num_heads: int, vocab_size: int, **more: Any) -> dict[str, Any]:
    sizes = dict(vocab_size=vocab_size, context=context, dim=dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.language.gpt.GPT", **sizes, **more}


#: Radford et al. 2019, table 2 (the numbers of parameters there are wrong; those of the released weights are in the tests)
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": _config(1024, 768, 12, 12, 50257),
    "gpt2_medium": _config(1024, 1024, 24, 16, 50257),
    "gpt2_large": _config(1024, 1280, 36, 20, 50257),
    "gpt2_xl": _config(1024, 1600, 48, 25, 50257),
    "gpt_mini": _config(256, 128, 4, 4, 4096),
}
