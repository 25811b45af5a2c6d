"""Vision transformer: patches, a class token, blocks. Scaled dot x full x learned, unless other parts are given.

Dosovitskiy et al. 2021; register tokens Darcet et al. 2024; layer scale and mean pooling as in Touvron et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.attention import (
    Attention,
    Full,
    Learned2D,
    OutputProjection,
    Pattern,
    Position,
    SkipPrefix,
    bind,
    build,
    make_pattern,
    unbind,
)
from zoo.declared import declared
from zoo.errors import ZooError
from zoo.layers import Block, ClassToken, FeedForward, PatchEmbed, PatchMean, pre_norm, trunc_normal
from zoo.layers.prefix import on_patches
from zoo.models.base import ImageModel, in_groups

LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)
POOLS = {"token": ClassToken, "mean": PatchMean}


def fitting_patch(img_size: int | tuple[int, int], most: int = 256) -> int:
    """The side of a patch where none is given: of the divisors of the image's sides, the nearest to their square root.

    8 -> 2, 28 -> 4, 32 -> 4, 64 -> 8, 224 -> 14: so 16, 49, 64, 64 and 256 patches; as many along a side as a patch has
    pixels, roughly.

    Args:
        img_size: side, or (height, width), in pixels.
        most: the number of patches that is not exceeded.

    Raises: ZooError if no patch divides the sides into 2 x 2 to `most` patches.
    """
    height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
    side = math.gcd(height, width)
    sizes = [p for p in range(1, side) if side % p == 0 and (height // p) * (width // p) <= most]
    if not sizes:
        raise ZooError(
            f"No patch divides images of {height}x{width} into 4 to {most} patches; set model.patch_size, or data.img_size "
            f"to a multiple of 8."
        )
    return min(sizes, key=lambda p: abs(p - side**0.5))


@declared
class ViT(ImageModel):
    """Images [B, C, H, W] -> logits [B, num_classes].

        tokens = [class; registers; patches(x)] + position
        tokens = block_depth(... block_1(tokens))
        logits = head(pool(norm(tokens)))

    Args:
        img_size: side, or (height, width).
        patch_size: side of a patch.
        in_chans: C.
        num_classes: 0 for features alone.
        dim, depth, num_heads, mlp_ratio: the usual sizes.
        attention: factory of the attention of each block; takes score, pattern, kernel, output bound to it.
        pattern: which patches a patch sees, default what is bound to `attention`, else all; or a factory, given grid, prefix
            (the number of tokens before the patches) and num_heads. The class and register tokens see all and are seen by all:
            every block has `pattern | Global(prefix)`; a choice by content is among the patches.
        position: factory. `embed` acts on the tokens, `rotate` and `bias` in every layer, on the patches alone.
        inner_position: factory of another, inside the attention of every layer, beside a `position` that is added to the
            tokens: EVA-02 has a learned and a rotary one.
        prefix_position: whether learned positions have entries for the class and register tokens (timm: not no_embed_class).
        class_token, reg_tokens: the tokens before the patches.
        pool: "token" (the class token), "mean" (of the patches), or a factory of a module [B, N, dim] -> [B, dim] (or to its
            `out_dim`), given what it names of dim, num_heads, hidden, norm, act, prefix: `zoo.layers.AttentionPool`.
        final_norm: whether there is a norm after the last block.
        pooled_norm: whether it stands after pooling rather than before (default: where the pool is a mean).
        feed_forward: factory, default `zoo.layers.FeedForward`; takes what it names of dim, hidden, act, bias, dropout; act is
            its own default where none is given here, so that `zoo.layers.GatedFeedForward` is SwiGLU.
        norm, act, order: LayerNorm, GELU, pre_norm; factories and a function (see `zoo.layers.Block`).
        shared_norm: one norm for both sublayers of a block; with order=parallel the block of Dehghani et al. 2023 (ViT-22B).
        patch_norm: factory of a norm on the patches, before positions are added.
        pre_block_norm: a norm before the first block, as CLIP's.
        qk_norm: factory of a norm on queries and keys.
        layer_scale, drop_path: see Block; drop_path grows linearly with depth.
        dropout, attn_dropout, head_dropout: rates.
        init: called on every module.

    Raises:
        ZooError: sizes that do not divide, an unknown pool, pooling a class token that is not there.
    """

    usual = MappingProxyType({**ImageModel.usual, "position": "zoo.attention.Learned2D"})

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        *,
        attention: Callable[..., nn.Module] | None = None,
        pattern: Pattern | Callable[..., Pattern] | None = None,
        position: Callable[..., Position] | None = None,
        inner_position: Callable[..., Position] | None = None,
        prefix_position: bool = True,
        class_token: bool = True,
        reg_tokens: int = 0,
        pool: str | Callable[..., nn.Module] = "token",
        final_norm: bool = True,
        pooled_norm: bool | None = None,
        feed_forward: Callable[..., nn.Module] | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        act: Callable[[], nn.Module] | None = None,
        order: Callable[..., Tensor] = pre_norm,
        shared_norm: bool = False,
        patch_norm: Callable[[int], nn.Module] | None = None,
        pre_block_norm: bool = False,
        qk_norm: Callable[[int], nn.Module] | None = None,
        qkv_bias: bool = True,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        head_dropout: float = 0.0,
        init: Callable[[nn.Module], None] = trunc_normal,
    ):
        super().__init__()
        known = callable(pool) or (isinstance(pool, str) and pool in POOLS)
        if not known or (pool == "token" and not class_token):
            raise ZooError(
                f"pool={pool!r} with class_token={class_token}: pool is 'token' (needs one), 'mean', or a part such as "
                "zoo.layers.AttentionPool."
            )
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        norm, hidden = norm or LAYER_NORM, int(dim * mlp_ratio)
        if hidden < 1:
            raise ZooError(f"mlp_ratio={mlp_ratio} leaves nothing of MLPs at dim={dim}; give a number such as 2 or 4.")
        self.dim, self.num_classes = dim, num_classes
        self.num_prefix_tokens = n_prefix = int(class_token) + reg_tokens
        self.grad_checkpointing = False

        self.patch_embed = PatchEmbed((height, width), patch_size, in_chans, dim, not pre_block_norm, patch_norm)
        self.grid, self.has_class_token = self.patch_embed.grid, class_token
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim)) if class_token else None
        self.reg_token = nn.Parameter(torch.empty(1, reg_tokens, dim)) if reg_tokens else None
        places: dict[str, Any] = dict(
            dim=dim, num_heads=num_heads, head_dim=dim // num_heads, grid=self.grid,
            length=self.grid[0] * self.grid[1], prefix=n_prefix if prefix_position else 0,
        )  # fmt: skip
        start: Position = build(position or Learned2D, **places)
        if inner_position is not None and start.acts_inside:
            raise ZooError(
                f"inner_position stands beside one on the tokens, and {type(start).__name__} is inside already."
            )
        inside = inner_position or (position if start.acts_inside else None)
        self.position = start if "tokens" in start.acts_on else Position()
        self.norm_pre = norm(dim) if pre_block_norm else None

        bound, attention = unbind(attention or Attention, "pattern")
        output, attention = unbind(attention, "output")
        facts: dict[str, Any] = dict(grid=self.grid, prefix=n_prefix, num_heads=num_heads)
        pattern = on_patches(make_pattern(pattern or bound or Full(), **facts), **facts)

        def make_position() -> Position | None:
            if inside is None:
                return None
            own = build(inside, **places)
            return own if own.prefix else SkipPrefix(own, n_prefix)  # it has entries for them, or they have no place

        def make_attention() -> nn.Module:
            return build(
                attention, dim=dim, num_heads=num_heads, qk_norm=qk_norm, bias=qkv_bias, dropout=attn_dropout,
                position=make_position(),
                output=bind(output or partial(OutputProjection, bias=True), dropout=dropout), pattern=pattern,
            )  # fmt: skip

        own = dict(dim=dim, hidden=hidden, **({"act": act} if act else {}))
        self.blocks = nn.ModuleList(
            Block(
                dim, make_attention(), build(feed_forward or FeedForward, **own, bias=True, dropout=dropout), norm=norm,
                order=order, shared_norm=shared_norm, layer_scale=layer_scale, drop_path=drop_path * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )  # fmt: skip
        pooled_norm = pool == "mean" if pooled_norm is None else pooled_norm
        self.norm = norm(dim) if final_norm and not pooled_norm else None
        self.pool = build(
            POOLS[pool] if isinstance(pool, str) else pool, **own, num_heads=num_heads, norm=norm, prefix=n_prefix
        )
        self.num_features = getattr(self.pool, "out_dim", dim)
        self.fc_norm = norm(self.num_features) if final_norm and pooled_norm else None
        self.head_drop = nn.Dropout(head_dropout) if head_dropout else None
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self._start(init)

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        """`patch_size: null` becomes `fitting_patch(img_size)`, `mlp_ratio: null` 2."""
        if config.get("mlp_ratio", 0) is None:
            config = {**config, "mlp_ratio": 2.0}
        if config.get("patch_size", 0) is None and config.get("img_size"):
            return {**config, "patch_size": fitting_patch(config["img_size"])}
        return config

    def _start(self, init: Callable[[nn.Module], None]) -> None:
        for module in self.modules():
            init(module)
        for token in (self.cls_token, self.reg_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)

    def embed(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> tokens [B, N, dim] with their places in them: class, registers, patches row by row."""
        patches = self.patch_embed(x)
        prefix = [t.expand(x.shape[0], -1, -1) for t in (self.cls_token, self.reg_token) if t is not None]
        if self.position.prefix:  # it has places for the prefix too
            tokens = torch.cat([*prefix, patches], 1)
            return self.position.embed(tokens, torch.arange(tokens.shape[1], device=x.device))
        patches = self.position.embed(patches, torch.arange(patches.shape[1], device=x.device))
        return torch.cat([*prefix, patches], 1) if prefix else patches

    def forward_features(self, x: Tensor) -> Tensor:
        """Images -> tokens [B, N, dim] after the last block, normalised unless there is no norm or it comes after pooling."""
        x = self.embed(x)
        if self.norm_pre is not None:
            x = self.norm_pre(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.grad_checkpointing and self.training else block(x)
        return x if self.norm is None else self.norm(x)

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens [B, N, dim] -> logits [B, num_classes], or the pooled features [B, num_features] before the head."""
        x = self.pool(tokens)
        x = x if self.fc_norm is None else self.fc_norm(x)
        x = x if self.head_drop is None else self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def reset_classifier(self, num_classes: int) -> None:
        """A new head for `num_classes` classes (0: none), on the device and in the dtype of the model."""
        like = self.patch_embed.proj.weight
        self.num_classes, self.classes = num_classes, None
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        if num_classes:
            trunc_normal(self.head)
        self.head.to(device=like.device, dtype=like.dtype)
        if self.config:
            self.config = {**self.config, "num_classes": num_classes}

    def no_weight_decay(self) -> set[str]:
        """Parameters that are places or tokens, not maps."""
        places = {f"position.{name}" for name, _ in self.position.named_parameters()}
        inside = {name for name, _ in self.named_parameters() if ".attn.position." in name}
        latents = {f"pool.{name}" for name, _ in self.pool.named_parameters(recurse=False)}
        return places | inside | latents | ({"cls_token", "reg_token"} & dict(self.named_parameters()).keys())

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters, input to output: embedding, each block, then what follows (for layer-wise decay)."""
        first = ("patch_embed", "cls_token", "reg_token", "position", "norm_pre")
        return in_groups(self, len(self.blocks), first)

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        self.grad_checkpointing = on


#: width, depth, heads as in Dosovitskiy et al. 2021, table 1, and Touvron et al. 2021, table 1 (tiny, small)
WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
#: timm's names with a patch, and the sides of images that they are for
TIMM: dict[str, dict[int, tuple[int, ...]]] = {
    "tiny": {16: (224, 384)},
    "small": {16: (224, 384), 32: (224, 384)},
    "base": {8: (224,), 16: (224, 384), 32: (224, 384)},
    "large": {16: (224, 384), 32: (224, 384)},
}
#: Small images: ours, not timm's. 64 wide for digits and Fashion-MNIST, 384 wide as omihub777/ViT-CIFAR.
SMALL: dict[str, Any] = {"init": {"_target_": "zoo.layers.xavier", "_partial_": True}, "mlp_ratio": 2.0}
MINI = ((8, 1, 1), (8, 2, 1), (28, 4, 1), (32, 4, 3))  # side, patch, channels


def _config(img_size: int, patch_size: int, dim: int, depth: int, num_heads: int, **more: Any) -> dict[str, Any]:
    sizes = dict(img_size=img_size, patch_size=patch_size, dim=dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.vision.vit.ViT", **sizes, **more}


CONFIGS: dict[str, dict[str, Any]] = {
    **{
        f"vit_{name}_patch{patch}_{side}": _config(side, patch, *WIDTHS[name])
        for name, patches in TIMM.items()
        for patch, sides in patches.items()
        for side in sides
    },
    **{f"deit_{name}_patch16_224": _config(224, 16, *WIDTHS[name]) for name in ("tiny", "small", "base")},
    **{  # Touvron et al. 2022: layer scale, no position on the class token
        f"deit3_{name}_patch16_224": _config(224, 16, *WIDTHS[name], layer_scale=1e-6, prefix_position=False)
        for name in ("small", "base", "large")
    },
    **{
        f"vit_mini_patch{patch}_{side}": _config(side, patch, 64, 4, 4, in_chans=channels, num_classes=10, **SMALL)
        for side, patch, channels in MINI
    },
    "vit_cifar_patch4_32": _config(32, 4, 384, 7, 12, num_classes=10, **{**SMALL, "mlp_ratio": 1.0}),
}
