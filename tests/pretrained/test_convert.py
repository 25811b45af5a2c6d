"""zoo.convert: timm's plain ViTs give the same logits (C14): max |difference| <= 1e-4 in float32, random weights."""

from functools import partial

import pytest
import timm
import torch
from timm.layers import GluMlp, RmsNorm, SwiGLU, SwiGLUPacked
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import (
    DiffParallelScalingBlock,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)
from torch import nn

import zoo
from tests.pretrained.theirs import difference, randomise

TOLERANCE = 1e-4
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 7}
#: Large, so that taking another eps would show.
ROUGH = partial(nn.LayerNorm, eps=0.1)

SAME = {
    "plain": {},
    "registers": {"reg_tokens": 3},
    "registers without places": {"reg_tokens": 3, "no_embed_class": True},
    "registers, no class token": {"reg_tokens": 2, "class_token": False, "global_pool": "avg"},
    "layer scale": {"init_values": 1e-3},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "mean pool": {"global_pool": "avg"},
    "mean pool, norm before it": {"global_pool": "avg", "fc_norm": False},
    "norm after the class token": {"fc_norm": True},
    "prefix in the pool, where there is none": {
        "class_token": False,
        "global_pool": "avg",
        "pool_include_prefix": True,
    },
    "qk norm": {"qk_norm": True},
    "no qkv bias": {"qkv_bias": False},
    "pre-norm, quick gelu, as CLIP": {"pre_norm": True, "act_layer": "quick_gelu", "norm_layer": ROUGH},
    "tanh gelu": {"act_layer": "gelu_tanh"},
    "silu": {"act_layer": nn.SiLU},
    "other eps": {"norm_layer": ROUGH, "qk_norm": True},
    "rms norm": {"norm_layer": partial(RmsNorm, eps=0.1), "qk_norm": True},
    "not square": {"img_size": (24, 40)},
    "one channel": {"in_chans": 1},
    "no classes": {"num_classes": 0},
    "no positions": {"pos_embed": "none"},
    "mlp ratio that divides badly": {"mlp_ratio": 3.7362},
    "dynamic size": {"dynamic_img_size": True},
    "attention pooling": {"global_pool": "map", "class_token": False, "mlp_ratio": 2.5, "act_layer": "gelu_tanh"},
    "attention pooling of the patches": {"global_pool": "map", "reg_tokens": 2, "fc_norm": True},
    "attention pooling of all tokens": {"global_pool": "map", "pool_include_prefix": True},
    "attention pooling, no norm before it": {"global_pool": "map", "final_norm": False, "num_classes": 0},
    "swiglu": {"mlp_layer": SwiGLU, "act_layer": "silu", "mlp_ratio": 2.6667},
    "swiglu, aimv2": {
        "mlp_layer": SwiGLU,
        "act_layer": "silu",
        "proj_bias": False,
        "qkv_bias": False,
        "norm_layer": partial(RmsNorm, eps=0.1),
        "embed_norm_layer": partial(RmsNorm, eps=0.3),
        "class_token": False,
        "global_pool": "avg",
        "fc_norm": False,
    },
    "packed swiglu": {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 2.66667 * 2},
    "packed, gate behind": {"mlp_layer": GluMlp},
    "gated, norm within": {"mlp_layer": SwiGLU, "scale_mlp_norm": True},
    "norms within both sublayers": {"scale_attn_norm": True, "scale_mlp_norm": True, "norm_layer": ROUGH},
    "no final norm": {"final_norm": False},
    "no final norm, mean pool": {"final_norm": False, "global_pool": "avg"},
    "norm of the patches": {"embed_norm_layer": nn.LayerNorm},
    "no bias behind": {"proj_bias": False},
    "norms behind the sublayers": {"block_fn": ResPostBlock, "init_values": 0.1},
    "parallel": {"block_fn": ParallelScalingBlock, "init_values": 0.1, "qk_norm": True},
    "parallel without qkv bias": {"block_fn": ParallelScalingBlock, "qkv_bias": False, "mlp_ratio": 3.1},
    "rates in a gated one": {"mlp_layer": SwiGLU, "proj_drop_rate": 0.2},
    "rates": {"drop_rate": 0.1, "proj_drop_rate": 0.2, "attn_drop_rate": 0.3, "drop_path_rate": 0.4, "depth": 3},
}


@pytest.mark.parametrize("options", SAME.values(), ids=SAME)
def test_same_logits(options, tmp_path):
    same_logits(VisionTransformer(**{**TINY, **options}), tmp_path)


def test_same_logits_distilled(tmp_path):
    """DeiT's two classifiers, averaged, are one map of both tokens."""
    same_logits(VisionTransformerDistilled(**TINY), tmp_path)


def test_a_distilled_model_without_classes_is_refused():
    with pytest.raises(zoo.ZooError, match="num_classes=0 of a distilled model"):
        zoo.convert(VisionTransformerDistilled(**{**TINY, "num_classes": 0}))


def same_logits(theirs, tmp_path):
    """Random weights; what was converted is the same again from its folder."""
    randomise(theirs)
    ours = zoo.convert(theirs)
    shape = (2, ours.patch_embed.in_chans, *ours.patch_embed.img_size)
    assert difference(theirs, ours, shape) <= TOLERANCE
    again = zoo.load(zoo.save(ours, tmp_path / "model"))
    assert difference(ours, again, shape) == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"global_pool": "prr"}, "global_pool='prr'; attn_pool=AttentionPoolPrr"),
        ({"global_pool": "avgmax"}, "global_pool='avgmax'"),
        ({"global_pool": ""}, "global_pool=''"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "pool_include_prefix=True"),
        ({"block_fn": ParallelThingsBlock}, "block_fn=ParallelThingsBlock"),
        ({"block_fn": DiffParallelScalingBlock, "num_heads": 2}, "block_fn=DiffParallelScalingBlock"),
        ({"block_fn": partial(ParallelScalingBlock, fuse_out_proj=True)}, "blocks.*.out_proj=Linear"),
        ({"block_fn": ParallelScalingBlock, "drop_path_rate": 0.1}, "drop_path_rate=0.1 in a ParallelScalingBlock"),
        ({"block_fn": ParallelScalingBlock, "proj_drop_rate": 0.1}, "proj_drop_rate=0.1 in a ParallelScalingBlock"),
        ({"block_fn": ParallelScalingBlock, "proj_bias": False}, "proj_bias=False in a ParallelScalingBlock"),
        ({"attn_layer": "diff", "num_heads": 2}, "attn_layer=DiffAttention"),
        ({"act_layer": nn.Tanh}, "act_layer=Tanh"),
        ({"norm_layer": nn.BatchNorm1d}, "norm_layer=BatchNorm1d"),
        ({"norm_layer": partial(nn.LayerNorm, elementwise_affine=False)}, "norm_layer without weight"),
        ({"norm_layer": partial(nn.LayerNorm, bias=False)}, "norm_layer without weight or bias"),
        ({"patch_drop_rate": 0.5}, "patch_drop=PatchDropout"),
        ({"pos_drop_rate": 0.5}, "pos_drop_rate=0.5"),
        ({"img_size": 36}, "img_size=(36, 36), which patch_size=8 does not divide"),
        ({"img_size": 32, "patch_size": (8, 4)}, "patch_size=(8, 4)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ours_has_not_is_refused_by_name(options, name):
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(VisionTransformer(**{**TINY, **options}))
    assert name in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("vit_tiny_r_s16_p8_224", "embed_layer=HybridEmbed"),
        ("cait_xxs24_224", "timm.models.cait.Cait is another architecture"),
        ("resnet10t", "ResNet is another architecture"),
    ],
)
def test_other_architectures_are_refused_by_name(name, word):
    with pytest.raises(zoo.ZooError, match=word):
        zoo.convert(timm.create_model(name))


def _replace_block(model):
    model.blocks[1].mlp.act = nn.SiLU()


def _add_part(model):
    model.adapter = nn.Linear(3, 3)


def _add_tensor(model):
    model.blocks[0].attn.temperature = nn.Parameter(torch.ones(1))


def _other_eps(model):
    model.blocks[1].norm1.eps = 0.1


def _other_forward(model):
    forward = model.forward_features
    model.forward_features = lambda *args, **kwargs: forward(*args, **kwargs) * 2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_replace_block, "blocks that differ"),
        (_add_part, "adapter=Linear"),
        (_add_tensor, "blocks.0.attn.temperature"),
        (_other_eps, "norm_layer of several kinds"),
        (_other_forward, "gives other outputs"),
    ],
)
def test_a_model_that_somebody_changed_is_not_converted_silently(change, word):
    model = VisionTransformer(**TINY)
    change(model)
    with pytest.raises(zoo.ZooError, match=word):
        zoo.convert(randomise(model))


def test_what_comes_with_the_model():
    theirs = timm.create_model("vit_tiny_patch16_224.augreg_in21k_ft_in1k", img_size=32, depth=1).train()
    ours = zoo.convert(theirs)
    cfg = theirs.pretrained_cfg
    assert ours.training and all(module.training for module in theirs.modules())
    assert ours.preprocess == zoo.models.Preprocess(
        32, 3, cfg["mean"], cfg["std"], cfg["interpolation"], cfg["crop_pct"]
    )
    assert len(ours.classes) == 1000 and ours.classes[0].startswith("tench")
    assert zoo.convert(timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=5)).classes is None


def test_training_rates_are_carried_over():
    rates = {"drop_rate": 0.1, "proj_drop_rate": 0.2, "attn_drop_rate": 0.3, "drop_path_rate": 0.4, "depth": 3}
    ours = zoo.convert(VisionTransformer(**{**TINY, **rates}))
    assert (ours.head_drop.p, ours.blocks[0].mlp.drop.p, ours.blocks[0].attn.dropout) == (0.1, 0.2, 0.3)
    assert [block.branch1 and block.branch1[-1].p for block in ours.blocks] == [None, 0.2, 0.4]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept_and_nothing_is_shared(dtype):
    theirs = randomise(VisionTransformer(**TINY).to(dtype))
    ours = zoo.convert(theirs)
    assert {p.dtype for p in ours.parameters()} == {dtype}
    assert not {p.data_ptr() for p in ours.parameters()} & {p.data_ptr() for p in theirs.parameters()}


def test_layer_decay_and_no_decay_of_a_converted_model_match_every_parameter_once():
    """B5: with registers too (TIMM#2712)."""
    ours = zoo.convert(VisionTransformer(**TINY, reg_tokens=2, init_values=0.1, pre_norm=True))
    names = [name for name, _ in ours.named_parameters()]
    assert sorted(name for group in ours.layer_groups() for name in group) == sorted(names)
    assert {"cls_token", "reg_token", "position.table"} == ours.no_weight_decay() <= set(names)


def test_other_sources_can_be_added():
    class Theirs(nn.Linear):
        pass

    @zoo.convert.register
    def _(model: Theirs) -> nn.Module:
        return nn.Identity()

    assert isinstance(zoo.convert(Theirs(1, 1)), nn.Identity)
