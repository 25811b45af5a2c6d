"""Which options of timm's VisionTransformer ours does not have: each is found in the model itself, and named."""

import re
from collections.abc import Iterator
from typing import Any

from timm.layers import DropPath, LayerNorm, LayerNormFp32, RmsNorm
from timm.layers.activations import GELU, GELUTanh, QuickGELU
from timm.models.vision_transformer import Attention, Block, LayerScale, Mlp, PatchEmbed, VisionTransformer
from torch import nn

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
NONE = (nn.Identity,)

#: Place of a module -> timm's option that decides it, and the classes that ours has a counterpart of.
PLACES: dict[str, tuple[str, tuple[type, ...]]] = {
    "patch_embed": ("embed_layer", (PatchEmbed,)),
    "patch_embed.proj": ("embed_layer.proj", (nn.Conv2d,)),
    "patch_embed.norm": ("embed_norm_layer", NONE),
    "pos_drop": ("pos_drop", (nn.Dropout,)),
    "patch_drop": ("patch_drop", NONE),
    "norm_pre": ("norm_layer", (*NORMS, *NONE)),
    "blocks": ("blocks", (nn.Sequential,)),
    "blocks.*": ("block_fn", (Block,)),
    "blocks.*.norm1": ("norm_layer", tuple(NORMS)),
    "blocks.*.norm2": ("norm_layer", tuple(NORMS)),
    "blocks.*.attn": ("attn_layer", (Attention,)),
    "blocks.*.attn.qkv": ("attn_layer.qkv", (nn.Linear,)),
    "blocks.*.attn.q_norm": ("qk_norm", (*NORMS, *NONE)),
    "blocks.*.attn.k_norm": ("qk_norm", (*NORMS, *NONE)),
    "blocks.*.attn.attn_drop": ("attn_drop", (nn.Dropout,)),
    "blocks.*.attn.norm": ("scale_attn_norm", NONE),
    "blocks.*.attn.proj": ("attn_layer.proj", (nn.Linear,)),
    "blocks.*.attn.proj_drop": ("proj_drop", (nn.Dropout,)),
    "blocks.*.ls1": ("init_values", (LayerScale, *NONE)),
    "blocks.*.ls2": ("init_values", (LayerScale, *NONE)),
    "blocks.*.drop_path1": ("drop_path", (DropPath, *NONE)),
    "blocks.*.drop_path2": ("drop_path", (DropPath, *NONE)),
    "blocks.*.mlp": ("mlp_layer", (Mlp,)),
    "blocks.*.mlp.fc1": ("mlp_layer.fc1", (nn.Linear,)),
    "blocks.*.mlp.act": ("act_layer", tuple(ACTS)),
    "blocks.*.mlp.drop1": ("proj_drop", (nn.Dropout,)),
    "blocks.*.mlp.norm": ("scale_mlp_norm", NONE),
    "blocks.*.mlp.fc2": ("mlp_layer.fc2", (nn.Linear,)),
    "blocks.*.mlp.drop2": ("proj_drop", (nn.Dropout,)),
    "norm": ("norm_layer", (*NORMS, *NONE)),
    "fc_norm": ("fc_norm", (*NORMS, *NONE)),
    "head_drop": ("head_drop", (nn.Dropout,)),
    "head": ("head", (nn.Linear, *NONE)),
}


def unsupported(model: VisionTransformer) -> list[str]:
    """The options, as `name=value`, that keep the model from being converted; empty if it can be."""
    if type(model) is not VisionTransformer:
        return [f"class={type(model).__name__}"]
    # Options that are not modules are read only where every module is known.
    found = [*_pools(model), *_modules(model)] or list(_values(model))
    return list(dict.fromkeys(found))


def _pools(model: VisionTransformer) -> Iterator[str]:
    if model.global_pool not in ("token", "avg"):
        yield f"global_pool={model.global_pool!r}"
    elif model.global_pool == "avg" and getattr(model, "pool_include_prefix", False) and model.num_prefix_tokens:
        yield "pool_include_prefix=True"


def _modules(model: VisionTransformer) -> Iterator[str]:
    """Modules of a class that is not known at their place. What is inside one of those is not looked at."""
    refused = "."
    for name, module in list(model.named_modules(remove_duplicate=False))[1:]:
        place = re.sub(r"\.\d+", ".*", name)
        option, known = PLACES.get(place, (place, ()))
        if type(module) not in known and not name.startswith(refused):
            refused = f"{name}."
            yield f"{option}={type(module).__name__}"


def _values(model: VisionTransformer) -> Iterator[str]:
    patches: Any = model.patch_embed
    blocks: list[Any] = list(model.blocks)
    size, patch = patches.img_size, patches.patch_size
    if size is None or patch[0] != patch[1]:
        yield f"img_size={size} with patch_size={patch}"
    elif size[0] % patch[0] or size[1] % patch[1]:
        yield f"img_size={size}, which patch_size={patch[0]} does not divide"
    normed = sum(not isinstance(norm, nn.Identity) for norm in (model.norm, model.fc_norm))
    if normed != 1:
        yield "final_norm=False" if normed == 0 else "both norm and fc_norm"
    if model.pos_drop.p:
        yield f"pos_drop_rate={model.pos_drop.p}"
    if not blocks:
        yield "depth=0"
    norms = [module for module in model.modules() if type(module) in NORMS]
    if any(parameter is None for norm in norms for parameter in norm._parameters.values()):
        yield "norm_layer without weight or bias"
    heads = {norm for block in blocks for norm in (block.attn.q_norm, block.attn.k_norm)}
    for option, group in (("norm_layer", set(norms) - heads), ("qk_norm", heads)):
        kinds = {f"{type(norm).__name__}(eps={getattr(norm, 'eps', None)})" for norm in group}
        if len(kinds) > 1:
            yield f"{option} of several kinds ({', '.join(sorted(kinds))})"
    for block in blocks:
        attn, mlp = block.attn, block.mlp
        if attn.num_heads * attn.head_dim != model.embed_dim:
            yield f"attn_head_dim={attn.head_dim}"
        if attn.scale != attn.head_dim**-0.5:
            yield f"attn.scale={attn.scale}"
        if any(linear.bias is None for linear in (attn.proj, mlp.fc1, mlp.fc2)):
            yield "proj_bias=False"
        rates = [drop.p for drop in (attn.proj_drop, mlp.drop1, mlp.drop2)]
        if len(set(rates)) > 1:
            yield f"proj_drop_rate of several values {rates}"
    if len({str(block_options(block)) for block in blocks}) > 1:
        yield "blocks that differ in their options"
    rate = drop_path(blocks[-1]) if blocks else 0.0
    for i, block in enumerate(blocks):
        if abs(drop_path(block) - rate * i / max(len(blocks) - 1, 1)) > 1e-6:
            yield f"drop_path_rate that does not grow linearly with depth ({drop_path(block)} in block {i})"


def block_options(block: Any) -> dict[str, Any]:
    """What all blocks (timm's Block) must have in common."""
    scale = block.ls1.init_values if isinstance(block.ls1, LayerScale) else None
    return {
        "num_heads": block.attn.num_heads,
        "hidden": block.mlp.fc1.out_features,
        "norm": norm_node(block.norm1),
        "act": act_node(block.mlp.act),
        "qk_norm": norm_node(block.attn.q_norm),
        "qkv_bias": block.attn.qkv.bias is not None,
        "layer_scale": scale,
        "dropout": block.attn.proj_drop.p,
        "attn_dropout": block.attn.attn_drop.p,
    }


def norm_node(norm: nn.Module) -> dict[str, Any] | None:
    """A norm as the node of a config; None for none."""
    return None if type(norm) is nn.Identity else {"_target_": NORMS[type(norm)], "_partial_": True, "eps": norm.eps}


def act_node(act: nn.Module) -> dict[str, Any]:
    """An activation as the node of a config."""
    tanh = {"approximate": "tanh"} if getattr(act, "approximate", "none") == "tanh" else {}
    return {**ACTS[type(act)], **tanh, "_partial_": True}


def drop_path(block: Any) -> float:
    """A block's rate of stochastic depth."""
    return round(getattr(block.drop_path1, "drop_prob", None) or 0.0, 6)  # timm's come from a float32 linspace
