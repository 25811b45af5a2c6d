"""Models small enough to try everything on, whose weights are large enough that tokens differ."""

from functools import partial

import torch

from zoo.attention import ALiBi, Window
from zoo.models.language.decoder import Decoder
from zoo.models.language.gpt import GPT
from zoo.models.language.llama import Llama

V = 24
SIZES = dict(vocab_size=V, context=64, dim=32, depth=2, num_heads=4)
KINDS = {
    "gpt": partial(GPT, **SIZES),
    "llama": partial(Llama, **SIZES, num_kv_heads=2),
    "alibi": partial(Decoder, **SIZES, position=ALiBi),
    "windows": partial(Llama, **SIZES, patterns=[Window(5), None]),
}


def tiny(kind="llama", dtype=torch.float32, seed=0, spread=0.35, **changes):
    """Weights N(0, spread^2), so that what was read matters."""
    torch.manual_seed(seed)
    model = KINDS[kind](**changes)
    with torch.no_grad():
        for x in model.parameters():
            if x.ndim > 1:
                x.normal_(std=spread)
    return model.to(dtype).eval()


def prompt(n=7, batch=1, seed=1):
    return torch.randint(V, (batch, n), generator=torch.Generator().manual_seed(seed))
