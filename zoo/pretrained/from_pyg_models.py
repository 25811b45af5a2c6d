"""PyTorch Geometric's models.GAT, of GATConv or GATv2Conv, as ours."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn.models import GAT as TheirGAT
from torch_geometric.nn.norm import BatchNorm

from zoo.models.graph.gat import GAT
from zoo.pretrained.convert import convert
from zoo.pretrained.from_pyg import attention_of, loops_of, shown, skip_of, tensors_of
from zoo.pretrained.pyg_options import refuse, unknown, unsupported
from zoo.pretrained.rebuild import rebuild

KNOWN: dict[type[nn.Module], str] = {
    TheirGAT: "in_channels hidden_channels num_layers out_channels dropout act act_first act_kwargs norm norm_kwargs jk"
}
#: Activations that have no weights, and what sets them.
ACTS: dict[type, tuple[str, ...]] = {
    nn.ReLU: (), nn.ELU: ("alpha",), nn.LeakyReLU: ("negative_slope",), nn.GELU: ("approximate",), nn.SiLU: (),
    nn.Tanh: (), nn.Sigmoid: (), nn.Softplus: ("beta", "threshold"), nn.SELU: (), nn.Identity: (),
}  # fmt: skip
NORMS = ("eps", "momentum", "affine", "track_running_stats")


@convert.register
def from_gat(model: TheirGAT) -> GAT:
    """models.GAT -> zoo.models.graph.gat.GAT, see `zoo.convert`. Dropout stays where PyG has it, after hidden layers.

    It is called as `model(x, edge_index, edge_attr=...)`. Raises: ZooError naming the options that ours does not have.
    """
    refuse(model, refused(model))
    see = partial(shown, channels=model.in_channels, edge_dim=model.convs[0].edge_dim)
    made = rebuild(model, config_of(model), tensors, see, "models.GAT")
    assert isinstance(made, GAT)
    return made


def config_of(model: Any) -> dict[str, Any]:
    """The plain config of our GAT that computes the same."""
    first, last, rate = model.convs[0], model.convs[-1], model.dropout.p
    skip, norm = skip_of(first), model.norms[0]
    act = nn.Identity() if model.act is None else model.act
    return {
        "_target_": "zoo.models.graph.gat.GAT",
        "in_dim": model.in_channels,
        "num_classes": model.out_channels,
        "head_dim": first.out_channels,
        "depth": model.num_layers,
        "num_heads": first.heads,
        "out_heads": last.heads,
        "attention": _inner(first) | {"_partial_": True, "pattern": {"_target_": "zoo.attention.GraphEdges"}},
        "skip": None if skip is None else skip | {"_partial_": True},
        "norm": _partial(nn.BatchNorm1d, norm.module, NORMS) if type(norm) is BatchNorm else None,
        "act": _partial(type(act), act, ACTS[type(act)]),
        "self_loops": loops_of(first),
        "edge_dim": first.edge_dim or 0,
        "dropout": rate,
        "feature_dropout": 0.0,
        "attn_dropout": first.dropout,
    }


def refused(model: Any) -> Iterator[str]:
    """The options, as `name=value`, that keep the model from being converted."""
    yield from (found := list(unknown(model, KNOWN)))
    if found and found[0].startswith("class="):
        return
    if isinstance(model.in_channels, tuple | list):
        yield f"in_channels={tuple(model.in_channels)}"
    if model.jk_mode is not None:
        yield f"jk={model.jk_mode!r}"
    if model.act is not None and type(model.act) not in ACTS:
        yield f"act={getattr(model.act, '__name__', type(model.act).__name__)}"
    for norm in model.norms:
        if type(norm) not in (BatchNorm, nn.Identity) or getattr(norm, "allow_single_element", False):
            yield f"norm={norm!r}"
        elif model.act_first and type(norm) is BatchNorm:
            yield "act_first=True with a norm"
    for conv in model.convs:
        yield from unsupported(conv)
    if any(_common(conv) != _common(model.convs[0]) for conv in model.convs):
        yield "convs that differ in their options"
    *hidden, last = model.convs
    if any(not conv.concat and conv.heads > 1 for conv in hidden):
        yield "concat=False"
    if last.concat and last.heads > 1:
        yield "out_channels=None with several heads"


def tensors(model: Any, named: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The model's tensors, or those `named` in their place, as ours by our names."""
    named, made = model.state_dict() if named is None else named, {}
    for name, tensor in named.items():
        if name.startswith("norms."):
            made[name.replace("norms.", "layers.").replace(".module.", ".norm.")] = tensor
        elif not name.startswith("convs."):
            made[name] = tensor  # unknown: `rebuild` refuses it by name
    for i, conv in enumerate(model.convs):
        own = {name.removeprefix(f"convs.{i}."): t for name, t in named.items() if name.startswith(f"convs.{i}.")}
        made |= {f"layers.{i}.{name}": tensor for name, tensor in tensors_of(conv, own).items()}
    return made


def _common(conv: Any) -> tuple:
    """What all layers must have in common."""
    return conv.heads, conv.dropout, conv.edge_dim, loops_of(conv), skip_of(conv), _inner(conv)


def _inner(conv: Any) -> dict[str, Any]:
    """The attention's node, as GAT takes it: GAT itself joins the heads of hidden layers, and averages the last's."""
    return {name: part for name, part in attention_of(conv).items() if name != "output"}


def _partial(kind: type, module: Any, settings: tuple[str, ...]) -> dict[str, Any]:
    return {"_target_": f"torch.nn.{kind.__name__}", "_partial_": True} | {n: getattr(module, n) for n in settings}
