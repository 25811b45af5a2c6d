"""Which options of timm's VisionTransformer and Eva ours does not have: each is found in the model itself, and named."""

import re
from collections.abc import Iterator
from typing import Any

from timm.layers import AttentionPoolLatent, AttentionRope, DropPath, GluMlp, SwiGLU
from timm.layers.pos_embed_rel import RelPosBias, RelPosMlp
from timm.layers.pos_embed_sincos import RotaryEmbeddingCat, RotaryEmbeddingDinoV3, RotaryEmbeddingMixed
from timm.models import beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva, EvaAttention
from timm.models.vision_transformer import (
    Attention,
    Block,
    LayerScale,
    Mlp,
    ParallelScalingBlock,
    PatchEmbed,
    ResPostBlock,
    VisionTransformer,
)
from timm.models.vision_transformer_relpos import (
    RelPosAttention,
    RelPosBlock,
    ResPostRelPosBlock,
    VisionTransformerRelPos,
)
from torch import nn

from zoo.pretrained import timm_blocks
from zoo.pretrained.timm_blocks import ACTS, NORMS

NONE = (nn.Identity,)
CLASSES = (VisionTransformer, VisionTransformerDistilled, Eva, beit.Beit, VisionTransformerRelPos)
BLOCKS = (
    Block, ResPostBlock, ParallelScalingBlock, *timm_blocks.EVA, beit.Block, RelPosBlock, ResPostRelPosBlock,
)  # fmt: skip
ATTENTIONS = (Attention, EvaAttention, AttentionRope, beit.Attention, RelPosAttention)
ANY_NORM = (*NORMS, *NONE)
LINEAR, DROPOUT = (nn.Linear,), (nn.Dropout,)


def _mlp(place: str, kinds: tuple[type, ...] = (Mlp,), norms: tuple[type, ...] = NONE) -> dict:
    return {
        place: ("mlp_layer", kinds),
        f"{place}.fc1": ("mlp_layer.fc1", LINEAR),
        f"{place}.fc1_g": ("mlp_layer.fc1_g", LINEAR),
        f"{place}.fc1_x": ("mlp_layer.fc1_x", LINEAR),
        f"{place}.act": ("act_layer", tuple(ACTS)),
        f"{place}.drop1": ("proj_drop", DROPOUT),
        f"{place}.norm": ("scale_mlp_norm", norms),
        f"{place}.fc2": ("mlp_layer.fc2", LINEAR),
        f"{place}.drop2": ("proj_drop", DROPOUT),
    }


def _attention(place: str, norms: tuple[type, ...] = ANY_NORM) -> dict:
    return {
        f"{place}q_norm": ("qk_norm", norms),
        f"{place}k_norm": ("qk_norm", norms),
        f"{place}attn_drop": ("attn_drop", DROPOUT),
    }


#: Place of a module -> timm's option that decides it, and the classes that ours has a counterpart of.
PLACES: dict[str, tuple[str, tuple[type, ...]]] = {
    "patch_embed": ("embed_layer", (PatchEmbed,)),
    "patch_embed.proj": ("embed_layer.proj", (nn.Conv2d,)),
    "patch_embed.norm": ("embed_norm_layer", ANY_NORM),
    "pos_drop": ("pos_drop", DROPOUT),
    "patch_drop": ("patch_drop", NONE),
    "rope": ("rope_type", (RotaryEmbeddingCat, RotaryEmbeddingDinoV3, RotaryEmbeddingMixed)),
    "norm_pre": ("norm_layer", ANY_NORM),
    "blocks": ("blocks", (nn.Sequential, nn.ModuleList)),
    "blocks.*": ("block_fn", BLOCKS),
    "blocks.*.norm1": ("norm_layer", tuple(NORMS)),
    "blocks.*.norm2": ("norm_layer", tuple(NORMS)),
    "blocks.*.attn": ("attn_layer", ATTENTIONS),
    **{f"blocks.*.attn.{name}": (f"attn_layer.{name}", LINEAR) for name in ("qkv", "q_proj", "k_proj", "v_proj")},
    **_attention("blocks.*.attn."),
    "blocks.*.attn.norm": ("scale_attn_norm", ANY_NORM),
    "blocks.*.attn.rel_pos": ("rel_pos_type", (RelPosBias, RelPosMlp)),
    "shared_rel_pos": ("rel_pos_type", (RelPosBias, RelPosMlp)),
    "rel_pos_bias": ("use_shared_rel_pos_bias", (beit.RelativePositionBias,)),
    "blocks.*.attn.proj": ("attn_layer.proj", LINEAR),
    "blocks.*.attn.proj_drop": ("proj_drop", DROPOUT),
    "blocks.*.ls1": ("init_values", (LayerScale, *NONE)),
    "blocks.*.ls2": ("init_values", (LayerScale, *NONE)),
    "blocks.*.drop_path1": ("drop_path", (DropPath, *NONE)),
    "blocks.*.drop_path2": ("drop_path", (DropPath, *NONE)),
    **_mlp("blocks.*.mlp", (Mlp, SwiGLU, GluMlp), ANY_NORM),
    # of ParallelScalingBlock
    "blocks.*.in_norm": ("norm_layer", tuple(NORMS)),
    "blocks.*.in_proj": ("block_fn.in_proj", LINEAR),
    **_attention("blocks.*."),
    "blocks.*.mlp_drop": ("proj_drop", DROPOUT),
    "blocks.*.mlp_act": ("act_layer", tuple(ACTS)),
    "blocks.*.attn_out_proj": ("block_fn.attn_out_proj", LINEAR),
    "blocks.*.mlp_out_proj": ("block_fn.mlp_out_proj", LINEAR),
    "blocks.*.ls": ("init_values", (LayerScale, *NONE)),
    "blocks.*.drop_path": ("drop_path", (DropPath, *NONE)),
    "norm": ("norm_layer", ANY_NORM),
    "attn_pool": ("attn_pool", (AttentionPoolLatent,)),
    "attn_pool.q": ("attn_pool.q", LINEAR),
    "attn_pool.kv": ("attn_pool.kv", LINEAR),
    **_attention("attn_pool.", NONE),
    "attn_pool.proj": ("attn_pool.proj", LINEAR),
    "attn_pool.proj_drop": ("attn_pool.drop", DROPOUT),
    "attn_pool.norm": ("attn_pool.norm", tuple(NORMS)),
    **_mlp("attn_pool.mlp"),
    "fc_norm": ("fc_norm", ANY_NORM),
    "head_drop": ("head_drop", DROPOUT),
    "head": ("head", (nn.Linear, *NONE)),
    "head_dist": ("head_dist", (nn.Linear, *NONE)),
}


def unsupported(model: Any) -> list[str]:
    """The options, as `name=value`, that keep the model from being converted; empty if it can be."""
    if type(model) not in CLASSES:
        return [f"class={type(model).__name__}"]
    # Options that are not modules are read only where every module is known.
    found = [*_pools(model), *_modules(model)] or list(_values(model))
    return list(dict.fromkeys(found))


def _pools(model: Any) -> Iterator[str]:
    if model.global_pool not in ("token", "avg", "map"):
        yield f"global_pool={model.global_pool!r}"
    elif model.global_pool == "avg" and getattr(model, "pool_include_prefix", False) and model.num_prefix_tokens:
        yield "pool_include_prefix=True"
    elif (model.global_pool == "map") != (getattr(model, "attn_pool", None) is not None):
        yield f"global_pool={model.global_pool!r} with attn_pool={type(model.attn_pool).__name__}"


_inside_bias = re.compile(
    r"(blocks\.\d+\.attn\.rel_pos|shared_rel_pos)\."
)  # what biases are computed by is not looked at


def _modules(model: nn.Module) -> Iterator[str]:
    """Modules of a class that is not known at their place. What is inside one of those is not looked at."""
    refused = "."
    for name, module in list(model.named_modules(remove_duplicate=False))[1:]:
        place = re.sub(r"\.\d+", ".*", name)
        if _inside_bias.match(name):
            continue
        option, known = PLACES.get(place, (place, ()))
        if type(module) not in known and not name.startswith(refused):
            refused = f"{name}."
            yield f"{option}={type(module).__name__}"


def _values(model: Any) -> Iterator[str]:
    patches: Any = model.patch_embed
    blocks: list[Any] = list(model.blocks)
    size, patch = patches.img_size, patches.patch_size
    if size is None or patch[0] != patch[1]:
        yield f"img_size={size} with patch_size={patch}"
    elif size[0] % patch[0] or size[1] % patch[1]:
        yield f"img_size={size}, which patch_size={patch[0]} does not divide"
    distilled = isinstance(model, VisionTransformerDistilled)
    after = not isinstance(model.fc_norm, nn.Identity)
    if after and not isinstance(model.norm, nn.Identity):
        yield "both norm and fc_norm"
    if distilled and after:
        yield "fc_norm of a class that passes it over"
    if distilled and not (isinstance(model.head, nn.Linear) and isinstance(model.head_dist, nn.Linear)):
        yield "num_classes=0 of a distilled model, which averages its tokens then"
    if distilled and model.reg_token is not None:
        yield "reg_tokens of a class that passes them over"
    if (drop := getattr(model, "pos_drop", None)) is not None and drop.p:
        yield f"pos_drop_rate={drop.p}"
    if (
        getattr(model, "rel_pos_bias", None) is not None
        and blocks
        and blocks[0].attn.relative_position_bias_table is not None
    ):
        yield "use_shared_rel_pos_bias=True with use_rel_pos_bias=True"
    if getattr(model, "rope", None) is not None:
        yield from _rope(model)
    if getattr(model, "attn_pool", None) is not None:
        yield from _attention_pool(model.attn_pool, model.embed_dim)
    if not blocks:
        yield "depth=0"
    yield from _norms(model)
    for block in blocks:
        yield from timm_blocks.refused(block, model.embed_dim)
    if len({str(timm_blocks.options(block)) for block in blocks}) > 1:
        yield "blocks that differ in their options"
    rate = timm_blocks.drop_path(blocks[-1]) if blocks else 0.0
    for i, block in enumerate(blocks):
        if abs((own := timm_blocks.drop_path(block)) - rate * i / max(len(blocks) - 1, 1)) > 1e-6:
            yield f"drop_path_rate that does not grow linearly with depth ({own} in block {i})"


def _norms(model: nn.Module) -> Iterator[str]:
    """Each group of norms must be of one class with one eps; those of a part of its own may be of others."""
    norms = {name: module for name, module in model.named_modules() if type(module) in NORMS}
    if any(parameter is None for norm in norms.values() for parameter in norm._parameters.values()):
        yield "norm_layer without weight or bias"
    own = re.compile(r"patch_embed\.norm|.*\.(attn|mlp)\.norm")  # which are compared block by block
    heads = re.compile(r".*[qk]_norm")
    groups: dict[str, set[str]] = {"norm_layer": set(), "qk_norm": set()}
    for name, norm in norms.items():
        if not own.fullmatch(name):
            kind = f"{type(norm).__name__}(eps={getattr(norm, 'eps', None)})"
            groups["qk_norm" if heads.fullmatch(name) else "norm_layer"].add(kind)
    for option, kinds in groups.items():
        if len(kinds) > 1:
            yield f"{option} of several kinds ({', '.join(sorted(kinds))})"


def _rope(model: Any) -> Iterator[str]:
    """Options of a rotary position that ours does not have; what it does in training alone (its own noise) among them."""
    rope, (height, width) = model.rope, model.patch_embed.grid_size
    for option, usual in (
        ("grid_type", "index"),
        ("in_pixels", False),
        ("min_period", None),
        ("max_period", None),
        ("aug_active", False),
    ):
        if getattr(rope, option, usual) != usual:
            yield f"rope.{option}={getattr(rope, option)}"
    if getattr(rope, "normalize_coords", "separate") != "separate" and height != width:
        yield f"rope.normalize_coords={rope.normalize_coords!r} on a grid of {height} x {width}"
    if tuple(rope.feat_shape or ()) != (height, width) and not model.dynamic_img_size:
        yield f"rope.feat_shape={rope.feat_shape} on a grid of {height} x {width}"
    if any(block.attn.num_prefix_tokens != model.num_prefix_tokens for block in model.blocks):
        yield "num_prefix_tokens that the attention counts otherwise"


def _attention_pool(pool: Any, dim: int) -> Iterator[str]:
    for option, value, usual in (
        ("latent_len", pool.latent_len, 1),
        ("latent_dim", pool.latent_dim, dim),
        ("embed_dim", pool.num_heads * pool.head_dim, dim),
        ("out_features", pool.out_features, dim),
        ("pos_embed", pool.pos_embed is not None, False),
        ("pool_type", pool.pool, "token"),
        ("drop", pool.proj_drop.p, 0.0),
        ("mlp.drop", max(pool.mlp.drop1.p, pool.mlp.drop2.p) if pool.mlp else 0.0, 0.0),
        ("scale", pool.scale, pool.head_dim**-0.5),
        ("mlp", pool.mlp is not None, True),
        ("qkv_bias", pool.q.bias is not None and pool.kv.bias is not None, True),
    ):
        if value != usual:
            yield f"attn_pool.{option}={value}"
