"""PyTorch Geometric's GATConv, GATv2Conv and TransformerConv as ours.

Nothing is taken on trust: options of the constructor that are not written here are refused by name, tensors must match name
by name, and at the end both layers see the same random graph.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GATv2Conv, TransformerConv

from zoo.layers import GraphAttention
from zoo.pretrained.convert import convert
from zoo.pretrained.pyg_options import channels, fill_of, refuse, unsupported
from zoo.pretrained.rebuild import rebuild

Conv = Any  # one of the three; a type checker knows nothing of PyG's attributes

# PyG's names -> ours, by how they begin.
RENAMED: dict[type[nn.Module], dict[str, str]] = {
    GATConv: {
        "lin.": "attn.projection.map.",
        "lin_dst.": "attn.projection.map.",
        "lin_src.": "attn.projection.context.",
        "att_dst": "attn.score.query",
        "att_src": "attn.score.key",
    },
    GATv2Conv: {
        "lin_l.": "attn.projection.key.",
        "lin_r.": "attn.projection.query.",
        "att": "attn.score.vector",
        "lin_edge.": "attn.score.edge.",
    },
    TransformerConv: {
        "lin_query.": "attn.projection.q.",
        "lin_edge.": "attn.edges.map.",
        "lin_skip.": "skip.map.",
        "lin_beta.": "skip.gate.",
    },
}
NODES = 12  # of the graph that both layers are shown
OF_ALL = {"bias": "attn.output.bias", "res.": "skip.map."}


@convert.register(GATConv)
@convert.register(GATv2Conv)
@convert.register(TransformerConv)
def from_conv(conv: Conv) -> GraphAttention:
    """A convolution -> GraphAttention, see `zoo.convert`; it is called alike, `conv(x, edge_index, edge_attr)`.

    It departs from PyG where PyG guesses. Loops are refused, at the call, where sources and targets differ in number (PyG
    adds some, D2), and edge_attr where the layer was built without edge_dim (GATConv overlooks them). For (x, None) give
    targets of zeros. Weights that `zoo.record_attention` reads are those before dropout (D1).

    Raises: ZooError naming the options that ours does not have.
    """
    refuse(conv, unsupported(conv))
    see = partial(shown, channels=conv.in_channels, edge_dim=conv.edge_dim, loops=loops_of(conv) is not None)
    made = rebuild(conv, config_of(conv), tensors_of, see, type(conv).__name__)
    assert isinstance(made, GraphAttention)
    return made


def config_of(conv: Conv) -> dict[str, Any]:
    """The plain config of our layer that computes the same."""
    _, targets = channels(conv)
    sizes = {"dim": targets, "num_heads": conv.heads, "head_dim": conv.out_channels, "edge_dim": conv.edge_dim or 0}
    skip = skip_of(conv)
    width = conv.out_channels * (conv.heads if conv.concat else 1)
    return {
        "_target_": "zoo.layers.GraphAttention",
        "attention": attention_of(conv) | sizes | {"dropout": conv.dropout},
        "skip": None if skip is None else skip | {"dim": targets, "out_dim": width},
        "self_loops": loops_of(conv),
        "edge_dim": conv.edge_dim or 0,
    }


def attention_of(conv: Conv) -> dict[str, Any]:
    """The node of its attention, without sizes."""
    sources, _ = channels(conv)
    context = {} if isinstance(conv.in_channels, int) else {"context_dim": sources}
    heads = "JoinHeads" if conv.concat else "MeanHeads"
    if isinstance(conv, TransformerConv):
        return {
            "_target_": "zoo.attention.Attention",
            "bias": conv.lin_key.bias is not None,
            "projection": _part("SeparateQKV", **context),
            "edges": _part("EdgeProjection"),
            "output": _part(heads, bias=False),
        }
    v2 = isinstance(conv, GATv2Conv)
    shared = {"share": conv.share_weights} if v2 else {"bias": False}
    return {
        "_target_": "zoo.attention.Attention",
        "bias": conv.bias is not None,
        "score": _part("GATv2Score" if v2 else "GATScore", slope=conv.negative_slope),
        "projection": _part("SharedKV" if v2 else "SharedQKV", **shared, **context),
        "output": _part(heads),
    }


def skip_of(conv: Conv) -> dict[str, Any] | None:
    """The node of what is added of the layer's input, without sizes."""
    if not isinstance(conv, TransformerConv):
        return {"_target_": "zoo.layers.LinearSkip"} if conv.residual else None
    kind = "zoo.layers.GatedSkip" if conv.beta else "zoo.layers.LinearSkip"
    return {"_target_": kind, "bias": conv.lin_skip.bias is not None} if conv.root_weight else None


def loops_of(conv: Conv) -> str | float | None:
    """Our `self_loops`."""
    if not getattr(conv, "add_self_loops", False):
        return None
    return fill_of(conv) if conv.edge_dim else "mean"


def tensors_of(conv: Conv, named: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The layer's tensors, or those `named` in their place, as ours by our names. Gradients pass through."""
    named, made = dict(conv.state_dict() if named is None else named), {}
    if isinstance(conv, TransformerConv):
        for kind in ("weight", "bias") if conv.lin_key.bias is not None else ("weight",):
            keys_values = [named.pop(f"lin_{part}.{kind}") for part in ("key", "value")]
            made[f"attn.projection.kv.{kind}"] = torch.cat(keys_values)
        if not conv.root_weight:  # PyG has the map all the same
            named = {name: tensor for name, tensor in named.items() if not name.startswith("lin_skip.")}
    if isinstance(conv, GATConv) and conv.lin_edge is not None:  # a . W e is one vector a head, (a W) . e
        weight, vector = named.pop("lin_edge.weight"), named.pop("att_edge")[0]
        made["attn.score.edge.weight"] = torch.einsum("hca,hc->ha", weight.unflatten(0, vector.shape), vector)
    for name, tensor in named.items():
        for theirs, ours in (RENAMED[type(conv)] | OF_ALL).items():
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        made[name] = tensor[0] if tensor.ndim == 3 else tensor
    return made


def shown(
    model: nn.Module, like: Tensor, channels: int | tuple[int, int], edge_dim: int | None, loops: bool = True
) -> Tensor:
    """What a module makes of `random_example`."""
    x, graph, features = random_example(like, channels, edge_dim, loops)
    return model(x, graph, edge_attr=features)


def random_example(
    like: Tensor, channels: int | tuple[int, int], edge_dim: int | None, loops: bool = True
) -> tuple[Any, Tensor, Tensor | None]:
    """(x, edge_index, edge_attr); x of two sets of nodes where `channels` are two, of two sizes without loops."""
    random = torch.Generator().manual_seed(0)
    size = NODES if loops or isinstance(channels, int) else NODES + 3

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(like)

    x = draw(NODES, channels) if isinstance(channels, int) else (draw(size, channels[0]), draw(NODES, channels[1]))
    graph = random_graph(size).to(like.device)
    return x, graph, draw(graph.shape[1], edge_dim) if edge_dim else None


def random_graph(sources: int = NODES) -> Tensor:
    """[2, E] from `sources` to NODES nodes: an edge into every one, then others, double edges and loops among them."""
    random = torch.Generator().manual_seed(0)
    ring = torch.stack([torch.arange(1, NODES + 1) % NODES, torch.arange(NODES)])
    others = [torch.randint(n, (4 * NODES,), generator=random) for n in (sources, NODES)]
    return torch.cat([ring, torch.stack(others)], 1)


def _part(name: str, **settings: Any) -> dict[str, Any]:
    return {"_target_": f"zoo.attention.{name}", "_partial_": True, **settings}
