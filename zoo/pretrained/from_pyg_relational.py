"""PyTorch Geometric's RGATConv as ours."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import RGATConv

from zoo.layers.relational import RelationalAttention
from zoo.pretrained.convert import convert
from zoo.pretrained.from_pyg import random_example
from zoo.pretrained.pyg_options import refuse, unsupported
from zoo.pretrained.rebuild import rebuild

OF_MODS = ("w", "l1", "b1", "l2", "b2")  # which PyG makes always, and reads where there is a `mod`
RENAMED = {"weight": "weight", "basis": "weight", "att": "coefficients", "bias": "output.bias"}


@convert.register
def from_rgat(conv: RGATConv) -> RelationalAttention:
    """RGATConv -> RelationalAttention, see `zoo.convert`; called alike, `conv(x, edge_index, edge_type, edge_attr)`.

    Raises: ZooError naming the options that ours does not have (`mod`, `dim` over 1, ...).
    """
    refuse(conv, unsupported(conv))
    see = partial(shown, channels=conv.in_channels, relations=conv.num_relations, edge_dim=conv.edge_dim)
    made = rebuild(conv, config_of(conv), tensors_of, see, "RGATConv")
    assert isinstance(made, RelationalAttention)
    return made


def config_of(conv: Any) -> dict[str, Any]:
    """The plain config of our layer that computes the same."""
    heads = "JoinHeads" if conv.concat else "MeanHeads"
    return {
        "_target_": "zoo.layers.relational.RelationalAttention",
        "dim": conv.in_channels,
        "num_heads": conv.heads,
        "head_dim": conv.out_channels,
        "num_relations": conv.num_relations,
        "within": conv.attention_mechanism == "within-relation",
        "multiply": conv.attention_mode == "multiplicative-self-attention",
        "num_bases": conv.num_bases,
        "num_blocks": conv.num_blocks,
        "edge_dim": conv.edge_dim or 0,
        "output": {"_target_": f"zoo.attention.{heads}", "_partial_": True},
        "bias": conv.bias is not None,
        "slope": conv.negative_slope,
        "dropout": conv.dropout,
    }


def tensors_of(conv: Any, named: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The layer's tensors, or those `named` in their place, as ours by our names."""
    named = conv.state_dict() if named is None else named
    named = {name: tensor for name, tensor in named.items() if name not in OF_MODS}
    made = {f"{ours}.weight": named.pop(theirs).T for theirs, ours in (("q", "query"), ("k", "key"))}
    if conv.edge_dim:
        made["edge.weight"] = named.pop("e").T @ named.pop("lin_edge.weight")
    for name, tensor in named.items():
        made[RENAMED.get(name, name)] = tensor.flatten(0, 1) if tensor.ndim == 4 else tensor  # blocks of all relations
    return made


def shown(model: nn.Module, like: Tensor, channels: int, relations: int, edge_dim: int | None) -> Tensor:
    """What a module makes of a random graph with several kinds of edges."""
    x, graph, features = random_example(like, channels, edge_dim)
    kinds = torch.arange(graph.shape[1], device=like.device) % relations
    return model(x, graph, kinds, edge_attr=features)
