"""Small models of every family, with inputs: what adapters are tested on."""

from collections.abc import Callable

import torch
from torch import nn

import zoo
from zoo.attention import SeparateQKV, SharedKV

GRAPH = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])


def vit(**more):
    return zoo.create_model(
        "vit", img_size=8, patch_size=4, in_chans=1, num_classes=3, dim=16, depth=2, num_heads=2, **more
    )


def gat(**more):
    config = {
        "_target_": "zoo.models.graph.gat.GAT",
        "in_dim": 6,
        "num_classes": 3,
        "head_dim": 4,
        "depth": 2,
        "num_heads": 2,
    }
    return zoo.build({**config, **more})


def gpt(name="GPT", module="gpt", **more):
    config = {
        "_target_": f"zoo.models.language.{module}.{name}",
        "vocab_size": 19,
        "context": 12,
        "dim": 16,
        "depth": 2,
    }
    return zoo.build({**config, "num_heads": 4, **more})


MODELS: dict[str, Callable[[], nn.Module]] = {
    "vit": vit,
    "gat": gat,
    "gat_head": lambda: gat(readout="mean"),
    "gpt": gpt,
    "llama": lambda: gpt("Llama", "llama", num_kv_heads=2),
    "bert": lambda: gpt("BERT", "bert"),
    "gpt_classifier": lambda: gpt(num_classes=3),
}


def inputs(model: nn.Module) -> tuple:
    """What the model reads, the same each time."""
    g = torch.Generator().manual_seed(7)
    reads = model.reads[0]
    if reads == "image":
        return (torch.randn(3, 1, 8, 8, generator=g),)
    if reads == "graph":
        return (torch.randn(5, 6, generator=g), GRAPH)
    return (torch.randint(model.vocab_size, (2, 9), generator=g),)


def make(name: str) -> nn.Module:
    torch.manual_seed(3)
    return MODELS[name]().eval()


def stirred(model: nn.Module) -> nn.Module:
    """With an adapter that has learned something: every trainable tensor moved at random."""
    g = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=g).to(parameter) * 0.1)
    return model


__all__ = ["GRAPH", "MODELS", "SeparateQKV", "SharedKV", "gat", "gpt", "inputs", "make", "stirred", "vit"]
