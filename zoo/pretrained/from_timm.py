"""timm's VisionTransformer (vit_*, deit_*, aimv2_*), Eva (eva02_*, *_dinov3), Beit and VisionTransformerRelPos as our ViT.

Nothing is taken on trust. Each module of theirs must be one that is known (timm's options choose module classes), the
options that no module shows are read, tensors must match name by name, and at the end both models see the same image.
"""

import math
import re
from collections import defaultdict
from copy import deepcopy
from typing import Any, cast

import torch
from timm.layers.pos_embed_rel import RelPosBias
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3, RotaryEmbeddingMixed
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import Tensor, nn

from zoo.attention import RelativeBias2D
from zoo.errors import ZooError
from zoo.models.vision.vit import ViT
from zoo.pretrained import timm_blocks, weights
from zoo.pretrained.convert import convert
from zoo.pretrained.rebuild import rebuild
from zoo.pretrained.timm_blocks import act_node, norm_node, part
from zoo.pretrained.timm_hub import classes_of, preprocess_of
from zoo.pretrained.timm_options import unsupported

# timm's names outside the blocks -> ours, by how they begin; what is not listed has the same name.
RENAMED = {
    "pos_embed": "position.table",
    "dist_token": "reg_token",
    "attn_pool.latent": "pool.latent",
    "attn_pool.q.": "pool.attn.projection.q.",
    "attn_pool.kv.": "pool.attn.projection.kv.",
    "attn_pool.proj.": "pool.attn.output.proj.",
    "attn_pool.": "pool.",
}
#: what biases by relative places are made of
BIASES = re.compile(r"attn\.(rel_pos\.|relative_position_bias_table)")


@convert.register(VisionTransformerDistilled)
@convert.register(VisionTransformer)
@convert.register(Eva)
@convert.register(Beit)
@convert.register(VisionTransformerRelPos)
def from_timm(model: Any) -> ViT:
    """timm's VisionTransformer, Eva, Beit or VisionTransformerRelPos -> ViT, see `zoo.convert`. Dosovitskiy et al. 2021 in
    timm's form (Wightman 2019).

    Biases by relative place become tables, one a layer, also where timm computes them by a small network or shares them.
    The two classifiers of a distilled DeiT, whose outputs it averages, are one map of both tokens side by side.
    A model with dynamic_img_size is converted for the one size it was built for; ours refuses other sizes.

    Raises: ZooError naming the options that ours does not have.
    """
    if found := unsupported(model):
        raise ZooError(
            f"This timm model has {'; '.join(found)}, which zoo's ViT has no counterpart of. Take another model, or "
            "create it without, where timm lets you."
        )
    patches = model.patch_embed
    image = torch.randn((1, patches.proj.in_channels, *patches.img_size), generator=torch.Generator().manual_seed(0))
    ours: Any = rebuild(model, config_of(model), tensors_of, lambda each, like: each(image.to(like)), "timm model")
    ours.preprocess, ours.classes = preprocess_of(model), classes_of(model)
    return ours


def config_of(model: Any) -> dict[str, Any]:
    """The plain config of our ViT that computes the same."""
    block, patches = timm_blocks.options(model.blocks[0]), model.patch_embed
    hidden, (height, width) = block.pop("hidden"), patches.img_size
    ratio = hidden / model.embed_dim
    before, after = norm_node(model.norm), norm_node(model.fc_norm)
    patch_norm = norm_node(patches.norm)
    return {
        "_target_": "zoo.models.vision.vit.ViT",
        "img_size": height if height == width else [height, width],
        "patch_size": patches.patch_size[0],
        "in_chans": patches.proj.in_channels,
        "num_classes": model.head.out_features if isinstance(model.head, nn.Linear) else 0,
        "dim": model.embed_dim,
        "depth": len(model.blocks),
        # ours takes the whole part of dim * ratio, which rounding may have pushed under `hidden`
        "mlp_ratio": ratio if int(model.embed_dim * ratio) == hidden else math.nextafter(ratio, math.inf),
        **positions_of(model),
        "prefix_position": prefix_has_entries(model),
        "class_token": model.cls_token is not None,
        "reg_tokens": model.num_prefix_tokens - (model.cls_token is not None),
        "pool": pool_of(model),
        "pooled_norm": after is not None,
        **({} if before or after else {"final_norm": False}),
        **({"patch_norm": patch_norm} if patch_norm else {}),
        "pre_block_norm": norm_node(getattr(model, "norm_pre", timm_blocks.NONE)) is not None,
        "drop_path": timm_blocks.drop_path(model.blocks[-1]),
        "head_dropout": model.head_drop.p,
        **block,
    }


def positions_of(model: Any) -> dict[str, Any]:
    """Our `position`, and `inner_position` where there is one of each kind."""
    rope, inside = getattr(model, "rope", None), None
    if rope is not None:
        inside = rope_of(rope)
    elif bias_of(model, 0) is not None:
        inside = part("zoo.attention.RelativeBias2D")
    if getattr(model, "pos_embed", None) is None:
        return {"position": inside or part("zoo.attention.Position")}
    return {"position": part("zoo.attention.Learned2D"), **({"inner_position": inside} if inside else {})}


def prefix_has_entries(model: Any) -> bool:
    """Whether the class token has learned positions; in timm's biases by a network it has none."""
    if isinstance(model, VisionTransformerRelPos):
        return type(model.shared_rel_pos or cast(Any, model.blocks[0]).attn.rel_pos) is RelPosBias
    return not getattr(model, "no_embed_class", False)


def bias_of(model: Any, layer: int) -> Tensor | None:
    """[H, N, N], what timm adds to a layer's logits by relative places; None for nothing."""
    attn: Any = getattr(model.blocks[layer], "attn", None)
    if isinstance(model, Beit):
        if attn.relative_position_bias_table is not None:
            return attn._get_rel_pos_bias()[0]
        return None if model.rel_pos_bias is None else model.rel_pos_bias()
    if isinstance(model, VisionTransformerRelPos):
        made_by = deepcopy(attn.rel_pos if attn.rel_pos is not None else model.shared_rel_pos)
        return None if made_by is None else made_by.eval().get_bias()[0]  # its network has dropout
    return None


def table_of(bias: Tensor, grid: tuple[int, int], prefix: int) -> Tensor:
    """[H, N, N] by relative places -> the table that our RelativeBias2D reads it from."""
    like = RelativeBias2D(len(bias), grid, prefix)
    place = torch.arange(bias.shape[1], device=bias.device)
    entry = like.entry(place.unsqueeze(-1), place)
    table = torch.zeros(like.table.shape, dtype=bias.dtype, device=bias.device)
    table[entry.flatten()] = bias.detach().flatten(1).T
    return table


def rope_of(rope: Any) -> dict[str, Any]:
    """The node of a rotary position on a grid."""
    if isinstance(rope, RotaryEmbeddingMixed):
        return part("zoo.attention.MixedRoPE", base=float(rope.temperature))
    if isinstance(rope, RotaryEmbeddingDinoV3):  # whole circles from the middle of the image
        how: dict[str, Any] = {"span": 4 * math.pi, "centred": True}
    else:
        how = {"span": None if rope.ref_feat_shape is None else [float(side) for side in rope.ref_feat_shape]}
    return part(
        "zoo.attention.AxialRoPE",
        base=float(rope.temperature),
        halves=rope.rotate_half or None,
        columns_first=rope.grid_indexing == "xy" or None,
        offset=float(rope.grid_offset) or None,
        **how,
    )


def pool_of(model: Any) -> str | dict[str, Any]:
    """Our `pool`: a word, or the node of a part."""
    if isinstance(model, VisionTransformerDistilled):
        return part("zoo.layers.JoinPrefix")
    pool: Any = getattr(model, "attn_pool", None)
    if pool is None:
        return {"token": "token", "avg": "mean"}[model.global_pool]
    skipped = bool(model.num_prefix_tokens) and not getattr(model, "pool_include_prefix", True)  # Eva's looks at all
    return part(
        "zoo.layers.AttentionPool",
        num_heads=pool.num_heads,
        hidden=pool.mlp.fc1.out_features,
        act=act_node(pool.mlp.act),
        only_patches=skipped or None,
    )


def tensors_of(model: Any) -> weights.State:
    """timm's tensors under our names and in our shapes."""
    state: weights.State = {}
    blocks: dict[str, weights.State] = defaultdict(dict)
    for name, tensor in model.state_dict().items():
        if name.startswith("blocks."):
            _, i, own = name.split(".", 2)
            blocks[i][own] = tensor
            continue
        if name == "rope.freqs":  # [2, depth, heads, pairs], of the column and the row, or the other way round
            both = tensor if model.rope.grid_indexing == "xy" else tensor.flip(0)
            inner = "attn.position.position.frequencies"
            state |= {f"blocks.{i}.{inner}": own for i, own in enumerate(both.unbind(1))}
            continue
        if name == "pos_embed":
            tensor = tensor[0]
        elif name == "patch_embed.proj.weight":  # a convolution of stride = kernel is one matrix product
            tensor = tensor.flatten(1)
        elif name.startswith(("shared_rel_pos.", "rel_pos_bias.")):
            continue
        for theirs, ours in RENAMED.items():
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        state[name] = tensor
    for i, inside in blocks.items():
        if (bias := bias_of(model, int(i))) is not None:
            inside = {name: tensor for name, tensor in inside.items() if not BIASES.match(name)}
            own = model.num_prefix_tokens if prefix_has_entries(model) else 0
            first = model.num_prefix_tokens - own  # tokens without entries, which timm has zeros for
            table = table_of(bias[:, first:, first:], model.patch_embed.grid_size, own)
            state[f"blocks.{i}.attn.position.{'' if own else 'position.'}table"] = table
        found = timm_blocks.tensors(model.blocks[int(i)], inside)
        state |= {f"blocks.{i}.{own}": tensor for own, tensor in found.items()}
    if (
        isinstance(model, VisionTransformerDistilled) and model.num_classes
    ):  # the mean of two maps, as one of both tokens
        both = [(state[f"head.{kind}"], state.pop(f"head_dist.{kind}")) for kind in ("weight", "bias")]
        state |= {"head.weight": torch.cat(both[0], 1) / 2, "head.bias": sum(both[1]) / 2}
    return state
