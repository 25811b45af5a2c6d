"""timm's VisionTransformer (vit_*, deit_*, deit3_*, aimv2_*, beit3_*, ...) as ours.

Nothing is taken on trust. Each module of theirs must be one that is known (timm's options choose module classes), the
options that no module shows are read, tensors must match name by name, and at the end both models see the same image.
"""

import math
from collections import defaultdict
from typing import Any

import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn

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


@convert.register(VisionTransformerDistilled)
@convert.register(VisionTransformer)
def from_timm(model: VisionTransformer) -> ViT:
    """timm's VisionTransformer -> ViT, see `zoo.convert`. Dosovitskiy et al. 2021 in timm's form (Wightman 2019).

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


def config_of(model: VisionTransformer) -> dict[str, Any]:
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
        "position": {
            "_target_": f"zoo.attention.{'Position' if model.pos_embed is None else 'Learned2D'}",
            "_partial_": True,
        },
        "prefix_position": not model.no_embed_class,
        "class_token": model.cls_token is not None,
        "reg_tokens": model.num_prefix_tokens - (model.cls_token is not None),
        "pool": pool_of(model),
        "pooled_norm": after is not None,
        **({} if before or after else {"final_norm": False}),
        **({"patch_norm": patch_norm} if patch_norm else {}),
        "pre_block_norm": norm_node(model.norm_pre) is not None,
        "drop_path": timm_blocks.drop_path(model.blocks[-1]),
        "head_dropout": model.head_drop.p,
        **block,
    }


def pool_of(model: VisionTransformer) -> str | dict[str, Any]:
    """Our `pool`: a word, or the node of a part."""
    if isinstance(model, VisionTransformerDistilled):
        return part("zoo.layers.JoinPrefix")
    pool: Any = model.attn_pool
    if pool is None:
        return {"token": "token", "avg": "mean"}[model.global_pool]
    skipped = bool(model.num_prefix_tokens) and not model.pool_include_prefix
    return part(
        "zoo.layers.AttentionPool",
        num_heads=pool.num_heads,
        hidden=pool.mlp.fc1.out_features,
        act=act_node(pool.mlp.act),
        only_patches=skipped or None,
    )


def tensors_of(model: VisionTransformer) -> weights.State:
    """timm's tensors under our names and in our shapes."""
    state: weights.State = {}
    blocks: dict[str, weights.State] = defaultdict(dict)
    for name, tensor in model.state_dict().items():
        if name.startswith("blocks."):
            _, i, own = name.split(".", 2)
            blocks[i][own] = tensor
            continue
        if name == "pos_embed":
            tensor = tensor[0]
        elif name == "patch_embed.proj.weight":  # a convolution of stride = kernel is one matrix product
            tensor = tensor.flatten(1)
        for theirs, ours in RENAMED.items():
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        state[name] = tensor
    for i, inside in blocks.items():
        found = timm_blocks.tensors(model.blocks[int(i)], inside)
        state |= {f"blocks.{i}.{own}": tensor for own, tensor in found.items()}
    if (
        isinstance(model, VisionTransformerDistilled) and model.num_classes
    ):  # the mean of two maps, as one of both tokens
        both = [(state[f"head.{kind}"], state.pop(f"head_dist.{kind}")) for kind in ("weight", "bias")]
        state |= {"head.weight": torch.cat(both[0], 1) / 2, "head.bias": sum(both[1]) / 2}
    return state
