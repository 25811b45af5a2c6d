"""PyTorch Geometric's SuperGATConv as ours: a GAT layer with another score."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch_geometric.nn import SuperGATConv

from zoo.layers import GraphAttention
from zoo.pretrained.convert import convert
from zoo.pretrained.from_pyg import random_example
from zoo.pretrained.pyg_options import refuse, unsupported
from zoo.pretrained.rebuild import rebuild

RENAMED = {
    "lin.weight": "attn.projection.map.weight",
    "att_l": "attn.score.key",
    "att_r": "attn.score.query",
    "bias": "attn.output.bias",
}


@convert.register
def from_supergat(conv: SuperGATConv) -> GraphAttention:
    """SuperGATConv -> GraphAttention, see `zoo.convert`; called alike, `conv(x, edge_index)`.

    Its loss on edges and on pairs without one, `get_attention_loss`, is not carried over: settings that only it reads
    (neg_sample_ratio, edge_sample_ratio, is_undirected) are passed over.

    Raises: ZooError naming the options that ours does not have.
    """
    refuse(conv, unsupported(conv))
    made = rebuild(conv, config_of(conv), tensors_of, partial(shown, channels=conv.in_channels), "SuperGATConv")
    assert isinstance(made, GraphAttention)
    return made


def config_of(conv: Any) -> dict[str, Any]:
    """The plain config of our layer that computes the same."""
    own: dict[str, Any] = {"slope": conv.negative_slope, "vectors": conv.attention_type == "MX"}
    return {
        "_target_": "zoo.layers.GraphAttention",
        "attention": {
            "_target_": "zoo.attention.Attention",
            "dim": conv.in_channels,
            "num_heads": conv.heads,
            "head_dim": conv.out_channels,
            "dropout": conv.dropout,
            "bias": conv.bias is not None,
            "score": {"_target_": "zoo.attention.SuperGATScore", "_partial_": True, **own},
            "projection": {"_target_": "zoo.attention.SharedQKV", "_partial_": True, "bias": False},
            "output": {"_target_": f"zoo.attention.{'JoinHeads' if conv.concat else 'MeanHeads'}", "_partial_": True},
        },
        "self_loops": "mean" if conv.add_self_loops else None,
    }


def tensors_of(conv: Any, named: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The layer's tensors, or those `named` in their place, as ours by our names."""
    named = conv.state_dict() if named is None else named
    return {RENAMED.get(name, name): tensor[0] if tensor.ndim == 3 else tensor for name, tensor in named.items()}


def shown(model: Any, like: Tensor, channels: int) -> Tensor:
    """What a module makes of a random graph."""
    x, graph, _ = random_example(like, channels, None)
    return model(x, graph)
