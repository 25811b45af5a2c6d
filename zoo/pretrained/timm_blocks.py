"""timm's blocks as ours: what each class of them says of its options, and its tensors by our names."""

from collections.abc import Iterator
from typing import Any

import torch
from timm.layers import DropPath, GluMlp, LayerNorm, LayerNormFp32, RmsNorm, SwiGLU
from timm.layers.activations import GELU, GELUTanh, QuickGELU
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import LayerScale, ParallelScalingBlock, ResPostBlock
from timm.models.vision_transformer_relpos import ResPostRelPosBlock
from torch import Tensor, nn

from zoo.pretrained.weights import State

NORMS: dict[type, str] = {
    LayerNorm: "torch.nn.LayerNorm",
    LayerNormFp32: "torch.nn.LayerNorm",  # which computes in float32 too
    nn.LayerNorm: "torch.nn.LayerNorm",
    RmsNorm: "torch.nn.RMSNorm",
    nn.RMSNorm: "torch.nn.RMSNorm",
}
ACTS: dict[type, dict[str, Any]] = {
    nn.GELU: {"_target_": "torch.nn.GELU"},
    GELU: {"_target_": "torch.nn.GELU"},
    GELUTanh: {"_target_": "torch.nn.GELU", "approximate": "tanh"},
    QuickGELU: {"_target_": "zoo.layers.QuickGELU"},
    nn.ReLU: {"_target_": "torch.nn.ReLU"},
    nn.SiLU: {"_target_": "torch.nn.SiLU"},
}
NONE = nn.Identity()
GATED = (SwiGLU, GluMlp)
EVA = (EvaBlock, EvaBlockPostNorm)
#: timm's names of a block of two sublayers -> ours; what is not listed has the same name.
RENAMED = {
    "attn.qkv.": "attn.projection.qkv.",
    "attn.proj.": "attn.output.proj.",
    "attn.norm.": "attn.output.norm.",
    "ls1.gamma": "branch1.0.gamma",
    "ls2.gamma": "branch2.0.gamma",
    "gamma_1": "branch1.0.gamma",
    "gamma_2": "branch2.0.gamma",
    "mlp.fc1_g.": "mlp.gate.",
    "mlp.fc1_x.": "mlp.up.",
}
#: of one whose first maps, and whose norms, are shared by both sublayers
OF_PARALLEL = {
    "in_norm.": "norm1.",
    "q_norm.": "attn.q_norm.",
    "k_norm.": "attn.k_norm.",
    "attn_out_proj.": "attn.output.proj.",
    "mlp_out_proj.": "mlp.fc2.",
    "mlp_bias": "mlp.fc1.bias",
}


def options(block: Any) -> dict[str, Any]:
    """What all blocks must have in common: keys of our ViT's config, with `hidden` for its mlp_ratio."""
    return _of_parallel(block) if isinstance(block, ParallelScalingBlock) else _of_two(block)


def qkv_bias(attn: Any) -> bool:
    """Whether queries and values have a bias; of BEiT's and EVA's attention keys have none, which is one of zeros."""
    if getattr(attn, "q_bias", None) is not None:
        return True
    return (attn.qkv if attn.qkv is not None else attn.q_proj).bias is not None


def refused(block: Any, dim: int) -> Iterator[str]:
    """Options of one block that are no modules and that ours does not have, as `name=value`."""
    parallel = isinstance(block, ParallelScalingBlock)
    attn = block if parallel else block.attn
    if getattr(attn, "num_kv_heads", attn.num_heads) != attn.num_heads:
        yield f"num_kv_heads={attn.num_kv_heads}"
    if isinstance(block, EvaBlock) and (block.gamma_1 is None) != (block.gamma_2 is None):
        yield "attn_only_layer_scale=True"
    width = getattr(attn, "head_dim", 0) or attn.proj.in_features // attn.num_heads
    if attn.num_heads * width != dim:
        yield f"attn_head_dim={width}"
    if attn.scale != width**-0.5:
        yield f"attn.scale={attn.scale}"
    if getattr(attn, "gate", None) is not None:
        yield "gated=True"
    if parallel:
        if block.attn_out_proj.bias is None or block.mlp_out_proj.bias is None:
            yield "proj_bias=False in a ParallelScalingBlock"
        for option, rate in (("proj_drop_rate", block.mlp_drop.p), ("drop_path_rate", drop_path(block))):
            if rate:
                yield f"{option}={rate} in a ParallelScalingBlock, where one draw is for both sublayers"
        return
    mlp = block.mlp
    rates = [drop.p for drop in (attn.proj_drop, mlp.drop1, mlp.drop2)]
    if len(set(rates)) > 1:
        yield f"proj_drop_rate of several values {rates}"
    if (_first(mlp).bias is None) != (mlp.fc2.bias is None):
        yield "mlp_layer with one bias of two"


def drop_path(block: Any) -> float:
    """A block's rate of stochastic depth."""
    drop = block.drop_path if isinstance(block, ParallelScalingBlock) else block.drop_path1
    return (
        round(getattr(drop, "drop_prob", None) or 0.0, 6) if isinstance(drop, DropPath) else 0.0
    )  # of a float32 linspace


def tensors(block: Any, state: State) -> State:
    """A block's tensors, by their names inside it, as ours."""
    if isinstance(block, ParallelScalingBlock):
        return _parallel_tensors(block, state)
    made: State = {}
    for name, tensor in _joined(block.attn, state).items():
        own = name.removeprefix("mlp.fc1.")
        if isinstance(block.mlp, GluMlp) and own != name:
            halves = ("up", "gate") if block.mlp.gate_last else ("gate", "up")
            made |= {f"mlp.{half}.{own}": part for half, part in zip(halves, tensor.chunk(2), strict=True)}
            continue
        if isinstance(block.mlp, GATED):
            name = name.replace("mlp.fc2.", "mlp.down.")
        made[_renamed(name, RENAMED)] = tensor
    return made


def norm_node(norm: nn.Module) -> dict[str, Any] | None:
    """A norm as the node of a config; None for none."""
    return None if type(norm) is nn.Identity else {"_target_": NORMS[type(norm)], "_partial_": True, "eps": norm.eps}


def act_node(act: nn.Module) -> dict[str, Any]:
    """An activation as the node of a config."""
    tanh = {"approximate": "tanh"} if getattr(act, "approximate", "none") == "tanh" else {}
    return {**ACTS[type(act)], **tanh, "_partial_": True}


def part(name: str, **settings: Any) -> dict[str, Any]:
    """The node of a factory; settings that are None are left out."""
    return {"_target_": name, "_partial_": True, **{key: value for key, value in settings.items() if value is not None}}


def _of_two(block: Any) -> dict[str, Any]:
    attn, mlp = block.attn, block.mlp
    ls = getattr(block, "ls1", None)
    scale = ls.init_values if isinstance(ls, LayerScale) else None
    if getattr(block, "gamma_1", None) is not None:
        scale = block.init_values
    after = isinstance(block, ResPostBlock | EvaBlockPostNorm | ResPostRelPosBlock)
    no_bias = attn.proj.bias is None
    return {
        "num_heads": attn.num_heads,
        "hidden": mlp.fc2.in_features,
        "norm": norm_node(block.norm1),
        "act": act_node(mlp.act),
        "qk_norm": norm_node(getattr(attn, "q_norm", NONE)),
        "qkv_bias": qkv_bias(attn),
        "layer_scale": scale,
        "dropout": attn.proj_drop.p,
        "attn_dropout": attn.attn_drop.p,
        **_feed_forward(mlp),
        **({"order": part("zoo.layers.res_post_norm")} if after else {}),
        **_output(norm_node(getattr(attn, "norm", NONE)), no_bias),
    }


def _joined(attn: Any, state: State) -> State:
    """Maps of queries, keys and values, and their biases, as one; where keys have no bias it is zeros."""
    parts = [f"attn.{part}" for part in ("q", "k", "v")]
    fused = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(tuple(f"{p}_{x}" for p in parts for x in ("proj", "bias")))
    }
    if len(fused) == len(state):
        return state
    if attn.qkv is None:
        fused["attn.qkv.weight"] = torch.cat([state[f"{part}_proj.weight"] for part in parts])
    names = [f"{part}_bias" if f"{part}_bias" in state else f"{part}_proj.bias" for part in parts]
    if qkv_bias(attn):
        like = state[names[0]]
        fused["attn.qkv.bias"] = torch.cat([state.get(name, torch.zeros_like(like)) for name in names])
    return fused


def _of_parallel(block: Any) -> dict[str, Any]:
    return {
        "num_heads": block.num_heads,
        "hidden": block.in_split[0],
        "norm": norm_node(block.in_norm),
        "act": act_node(block.mlp_act),
        "qk_norm": norm_node(block.q_norm),
        "qkv_bias": block.in_proj.bias is not None,
        "layer_scale": block.ls.init_values if isinstance(block.ls, LayerScale) else None,
        "dropout": 0.0,
        "attn_dropout": block.attn_drop.p,
        "order": part("zoo.layers.parallel"),
        "shared_norm": True,
    }


def _feed_forward(mlp: Any) -> dict[str, Any]:
    """The node, where it is another than our ViT's own."""
    gated = isinstance(mlp, GATED)
    bias = None if mlp.fc2.bias is not None else False
    norm, rate = norm_node(mlp.norm), (mlp.drop1.p or None) if gated else None
    if not gated and bias is None and norm is None:
        return {}
    kind = "GatedFeedForward" if gated else "FeedForward"
    return {"feed_forward": part(f"zoo.layers.{kind}", bias=bias, norm=norm, hidden_dropout=rate)}


def _output(norm: dict[str, Any] | None, no_bias: bool) -> dict[str, Any]:
    if norm is None and not no_bias:
        return {}
    return {
        "attention": part(
            "zoo.attention.Attention", output=part("zoo.attention.OutputProjection", bias=not no_bias, norm=norm)
        )
    }


def _parallel_tensors(block: Any, state: State) -> State:
    """`in_proj` is the feed-forward's first map above q, k and v; the gain of their sum is that of each."""
    made: State = {}
    for name, tensor in state.items():
        own = name.removeprefix("in_proj.")
        if own != name:
            made[f"mlp.fc1.{own}"], made[f"attn.projection.qkv.{own}"] = _split(tensor, block.in_split[0])
        elif name == "ls.gamma":
            made |= {f"branch{i}.0.gamma": tensor for i in (1, 2)}
        else:
            made[_renamed(name, OF_PARALLEL)] = tensor
    return made


def _split(tensor: Tensor, first: int) -> tuple[Tensor, Tensor]:
    return tensor[:first], tensor[first:]


def _renamed(name: str, table: dict[str, str]) -> str:
    return next((ours + name.removeprefix(theirs) for theirs, ours in table.items() if name.startswith(theirs)), name)


def _first(mlp: Any) -> nn.Linear:
    return mlp.fc1_g if isinstance(mlp, SwiGLU) else mlp.fc1
