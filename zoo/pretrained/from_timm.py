"""timm's VisionTransformer (vit_*, deit_*, deit3_*, ...) as ours.

Nothing is taken on trust. Each module of theirs must be one that is known (timm's options choose module classes), the
options that no module shows are read, tensors must match name by name, and at the end both models see the same image.
"""

import math
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from zoo.errors import ZooError
from zoo.models.vision.vit import ViT
from zoo.pretrained import weights
from zoo.pretrained.convert import convert
from zoo.pretrained.rebuild import rebuild
from zoo.pretrained.timm_hub import classes_of, preprocess_of
from zoo.pretrained.timm_options import block_options, drop_path, norm_node, unsupported

# timm's names -> ours; what is not listed has the same name.
RENAMED = {
    "pos_embed": "position.table",
    ".attn.qkv.": ".attn.projection.qkv.",
    ".attn.proj.": ".attn.output.proj.",
    ".ls1.gamma": ".branch1.0.gamma",
    ".ls2.gamma": ".branch2.0.gamma",
}


@convert.register
def from_timm(model: VisionTransformer) -> ViT:
    """timm's VisionTransformer -> ViT, see `zoo.convert`. Dosovitskiy et al. 2021 in timm's form (Wightman 2019).

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
    block, patches = block_options(model.blocks[0]), model.patch_embed
    hidden, (height, width) = block.pop("hidden"), patches.img_size
    ratio = hidden / model.embed_dim
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
        "reg_tokens": 0 if model.reg_token is None else model.reg_token.shape[1],
        "pool": {"token": "token", "avg": "mean"}[model.global_pool],
        "pooled_norm": norm_node(model.fc_norm) is not None,
        "pre_block_norm": norm_node(model.norm_pre) is not None,
        "drop_path": drop_path(model.blocks[-1]),
        "head_dropout": model.head_drop.p,
        **block,
    }


def tensors_of(model: VisionTransformer) -> weights.State:
    """timm's tensors under our names and in our shapes."""
    state = {}
    for name, tensor in model.state_dict().items():
        if name == "pos_embed":
            tensor = tensor[0]
        elif name == "patch_embed.proj.weight":  # a convolution of stride = kernel is one matrix product
            tensor = tensor.flatten(1)
        for theirs, ours in RENAMED.items():
            name = name.replace(theirs, ours)
        state[name] = tensor
    return state
