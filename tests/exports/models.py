"""A small model of each kind that is exported, with random weights."""

from functools import partial

import torch

import zoo
from tests.models.gats import VARIANTS, model
from zoo.layers.relational import RelationalAttention
from zoo.models.graph.han import HAN
from zoo.models.graph.rgat import RGAT

TEXT = dict(vocab_size=61, dim=16, depth=1, num_heads=2, context=32)
WINDOW = dict(channels=3, lookback=48, horizon=12)


def named(name, **changes):
    return lambda: zoo.create_model(name, **changes)


VIT = named("vit_mini_patch2_8", depth=1, reg_tokens=1)
IMAGES = {"vit": VIT, "cnn": named("cnn", img_size=8, in_chans=1, num_classes=10)}
TEXTS = {
    "bert": named("bert_mini", **TEXT),
    "bert classifier": named("bert_mini", **TEXT, num_classes=3, pool="token"),
    "gpt": named("gpt_mini", **TEXT),
    "gpt classifier": named("gpt_mini", **TEXT, num_classes=3),
    "llama": named("llama_mini", **TEXT, num_kv_heads=1),
}
SERIES = {name: named(name, **WINDOW) for name in ("patchtst", "itransformer", "dlinear", "nlinear", "transformer")}
SERIES["informer"] = named("informer", **WINDOW, dim=16, hidden=32, num_heads=2, time_features=4)
GRAPHS = {
    **{f"gat, {name}": partial(model, **how) for name, how in VARIANTS.items() if how.get("drop_edge", 0) == 0},
    "rgat": lambda: RGAT(5, 3, 2, head_dim=4),
    "rgat of numbers": lambda: RGAT(
        50, 3, 4, num_nodes=50, head_dim=4, attention=partial(RelationalAttention, num_bases=2)
    ),
    "rgat within": lambda: RGAT(
        5, 3, 2, head_dim=4, edge_dim=2, attention=partial(RelationalAttention, within=True, self_relation=True)
    ),
    "rgat, products": lambda: RGAT(5, 3, 2, head_dim=4, depth=1, attention=partial(RelationalAttention, multiply=True)),
    "han": lambda: HAN(5, 3, {"target": "a", "metapaths": [("a", "b", "a"), ("a", "c", "a")]}),
}
ALL = {**IMAGES, **TEXTS, **SERIES, **GRAPHS}


def made(name, seed=0):
    """The model of that name, in eval mode."""
    torch.manual_seed(seed)
    return ALL[name]().eval()
