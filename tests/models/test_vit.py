"""The ViT: names and sizes as timm's, parts that swap, tokens that keep their rights."""

import re
from functools import partial

import pytest
import torch
from torch import nn

import zoo
from tests.training.compose import compose
from zoo.attention import (
    KERNELS,
    Additive,
    Attention,
    AxialRoPE,
    Causal,
    LinearFeatures,
    MixedRoPE,
    OutputProjection,
    RelativeBias,
    RelativeBias2D,
    RoPE,
    SinCos2D,
    Window,
    record_attention,
)  # fmt: skip
from zoo.config import plain
from zoo.errors import ZooError
from zoo.inspect.maps import patch_maps
from zoo.layers import AttentionPool, FeedForward, GatedFeedForward, JoinPrefix, parallel, res_post_norm
from zoo.models.fit import fit
from zoo.models.vision.vit import ViT, fitting_patch
from zoo.spec import ImageSpec

SMALL = dict(img_size=8, patch_size=2, in_chans=1, num_classes=10, dim=32, depth=2, num_heads=4)


def images(n=3):
    return torch.randn(n, 1, 8, 8)


@pytest.mark.parametrize("name", [n for n in zoo.list_models("*vit_*") if "large" not in n and "base" not in n])
def test_sizes_are_timms(name):
    """Same parameter count as the timm model of that name."""
    ours = zoo.create_model(name)
    if "mini" in name or "cifar" in name:
        return
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(name)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("how", [
    {}, dict(reg_tokens=3), dict(class_token=False, pool="mean"), dict(pool="mean", reg_tokens=1), dict(qk_norm=nn.LayerNorm),
    dict(layer_scale=1e-4, drop_path=0.2), dict(prefix_position=False), dict(pre_block_norm=True), dict(num_classes=0),
    dict(position=RoPE), dict(position=AxialRoPE), dict(position=MixedRoPE), dict(inner_position=AxialRoPE, reg_tokens=1),
    dict(position=RelativeBias), dict(position=RelativeBias2D), dict(position=RelativeBias2D, prefix_position=False),
    dict(position=SinCos2D),
    dict(attention=partial(Attention, score=Additive)), dict(attention=partial(Attention, score=LinearFeatures)),
    dict(pool=AttentionPool), dict(pool=partial(AttentionPool, only_patches=True), reg_tokens=1), dict(final_norm=False),
    dict(pool=JoinPrefix, reg_tokens=1), dict(feed_forward=GatedFeedForward), dict(patch_norm=nn.LayerNorm, pool="mean"),
    dict(order=parallel, shared_norm=True), dict(order=res_post_norm), dict(pool=partial(JoinPrefix), pooled_norm=True),
    dict(attention=partial(Attention, output=partial(OutputProjection, norm=nn.LayerNorm)), dropout=0.1),
    dict(feed_forward=partial(FeedForward, norm=nn.LayerNorm, bias=False)),
    dict(dropout=0.1, attn_dropout=0.1, head_dropout=0.1), dict(patch_size=4), dict(img_size=(8, 16)),
], ids=lambda how: re.sub(r" at 0x\w+", "", str(how)))  # fmt: skip
def test_variants_learn(how):
    """Every option: the right shapes, and a gradient for every parameter."""
    model = ViT(**{**SMALL, **how})
    x = torch.randn(3, 1, *model.patch_embed.img_size)
    out = model(x)
    assert out.shape == (3, model.num_classes or 32)
    features = model.forward_features(x)
    assert features.shape == (3, model.grid[0] * model.grid[1] + model.num_prefix_tokens, 32)
    (out * torch.randn_like(out)).sum().backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None]
    assert not dead


@pytest.mark.parametrize("reg", [0, 2])
def test_a_pattern_applies_to_the_patches(reg):
    """pattern | Global(class and register tokens): they see all and are seen by all."""
    model = ViT(**SMALL, reg_tokens=reg, attention=partial(Attention, pattern=Causal() & Window(2)))
    n = 1 + reg
    with record_attention(model) as maps:
        model(images())
    for weights in maps.values():
        seen = weights[0, 0] > 0
        assert seen[:n].all() and seen[:, :n].all()
        index = torch.arange(16)
        distance = index[:, None] - index
        assert torch.equal(seen[n:, n:], (distance >= 0) & (distance < 2))


@pytest.mark.parametrize("position", [RoPE, AxialRoPE])
def test_class_and_register_tokens_are_not_turned(position):
    model = ViT(**SMALL, reg_tokens=2, position=position).eval()
    x = torch.randn(1, 4, 19, 8)
    turned = model.blocks[0].attn.position.rotate(x, torch.arange(19))
    assert torch.equal(turned[:, :, :3], x[:, :, :3]) and not torch.equal(turned[:, :, 4:], x[:, :, 4:])


def test_impossible_combinations_are_refused_with_every_kernels_reasons():
    model = ViT(**SMALL, attention=partial(Attention, score=Additive, kernel="sdpa"))
    with pytest.raises(ZooError) as error:
        model(images())
    assert all(f"{kernel.name}:" in str(error.value) for kernel in KERNELS)


def test_reset_classifier():
    model = zoo.create_model("vit_mini_patch2_8")
    model.reset_classifier(3)
    assert model(images()).shape == (3, 3) and model.config["num_classes"] == 3
    model.reset_classifier(0)
    assert model(images()).shape == (3, 64)


def test_pools_and_feed_forwards_are_chosen_on_the_command_line():
    part = "{_target_: zoo.layers.%s, _partial_: true}"
    words = [f"model.pool={part % 'AttentionPool'}", f"+model.feed_forward={part % 'GatedFeedForward'}"]
    model = zoo.build(fit(plain(compose("model=vit", *words))["model"], ImageSpec(img_size=8, in_chans=1), 10))
    assert isinstance(model.pool, AttentionPool) and isinstance(model.blocks[0].mlp, GatedFeedForward)
    assert model.pool.mlp.fc1.out_features == model.blocks[0].mlp.up.out_features


def test_a_pool_of_ones_own_decides_the_width_of_the_head():
    """Two tokens side by side, before and after another number of classes; places and latents are named for no decay."""
    model = ViT(**SMALL, pool=JoinPrefix, reg_tokens=1)
    tokens = model.forward_features(images())
    assert torch.equal(model.forward_head(tokens, pre_logits=True), tokens[:, :2].flatten(1))
    model.reset_classifier(3)
    assert model.head.in_features == model.num_features == 64 and model(images()).shape == (3, 3)
    assert "pool.latent" in ViT(**SMALL, pool=AttentionPool).no_weight_decay()


def test_attention_pooling_by_hand():
    """Zhai et al. 2022, section 3.3: softmax(q K^T / sqrt D) V of one latent, then a feed-forward on a residual."""
    pool = AttentionPool(32, 4, hidden=48, prefix=2, only_patches=True).double()
    x = torch.randn(3, 9, 32, dtype=torch.double)
    q = pool.attn.projection.q(pool.latent[0]).view(1, 4, 8).transpose(0, 1)
    k, v = (each.unflatten(-1, (4, 8)).transpose(1, 2) for each in pool.attn.projection.kv(x[:, 2:]).chunk(2, -1))
    y = pool.attn.output.proj(((q @ k.mT / 8**0.5).softmax(-1) @ v).transpose(1, 2).flatten(1))
    torch.testing.assert_close(pool(x), y + pool.mlp(pool.norm(y)))
    assert torch.equal(pool(torch.cat([torch.randn(3, 2, 32).double(), x[:, 2:]], 1)), pool(x))


def test_where_attention_pools_maps_show_what_the_latent_reads():
    model = ViT(**SMALL, pool=AttentionPool)
    with record_attention(model) as maps:
        model(images())
    assert list(maps) == ["blocks.0.attn", "blocks.1.attn", "pool.attn"]
    found = patch_maps(list(maps.values()), model.grid, 1, True)
    assert found.layers.shape == (3, 3, 4, 4) and found.rollout is None


def test_checkpointing_gives_the_same_gradients():
    model = ViT(**SMALL).double()
    x = images().double()
    grads = []
    for on in (False, True):
        model.set_grad_checkpointing(on)
        grads.append(torch.autograd.grad(model(x).square().sum(), list(model.parameters())))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", zoo.list_models("*_patch*"))
def test_groups_hold_every_parameter_once(name):
    """B5, bug 32: layer groups are a partition; places and tokens are named for no decay."""
    with torch.device("meta"):
        model = zoo.create_model(name, reg_tokens=2)
    names = sorted(n for n, _ in model.named_parameters())
    groups = model.layer_groups()
    assert sorted(name for group in groups for name in group) == names and len(groups) == len(model.blocks) + 2
    assert model.no_weight_decay() == {"cls_token", "reg_token", "position.table"}


def test_no_decay_covers_positions_inside_the_attention():
    model = ViT(**SMALL, position=RelativeBias)
    assert {n for n in model.no_weight_decay() if "attn" in n} == {
        f"blocks.{i}.attn.position.position.table" for i in (0, 1)
    }


@pytest.mark.parametrize("how", [{}, dict(pool=AttentionPool), dict(pool=JoinPrefix, position=MixedRoPE)], ids=str)
def test_export_keeps_the_batch_dynamic(how):
    """B7: torch.export with a dynamic batch gives the same outputs at other batch sizes."""
    model = ViT(**SMALL, **how).eval()
    program = torch.export.export(model, (images(2),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    for n in (1, 5):
        x = images(n)
        torch.testing.assert_close(program.module()(x), model(x))


def test_models_by_name():
    assert "vit_tiny_patch16_224" in zoo.list_models("vit*") and "deit_tiny_patch16_224" not in zoo.list_models("vit*")
    with pytest.raises(ZooError, match="did you mean 'vit_tiny_patch16_224'"):
        zoo.create_model("vit_tiny_patch16_244")
    with pytest.raises(ZooError, match="num_class"):
        zoo.create_model("vit_mini_patch2_8", num_clases=3)
    model = zoo.create_model("vit_tiny_patch16_224", num_classes=7, img_size=32, in_chans=1)
    assert model(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    "how, words",
    [
        (dict(dim=30), "dim=30 is not divisible by num_heads=4"),
        (dict(patch_size=3), "not divisible by patch_size=3"),
        (dict(pool="tokens"), "pool='tokens'"),
        (dict(pool=["token"]), "pool="),
        (dict(position=RoPE, inner_position=AxialRoPE), "RoPE is inside already"),
        (
            dict(pool=JoinPrefix, class_token=False),
            "JoinPrefix joins the tokens before the patches, and there are none",
        ),
        (dict(class_token=False), "class_token=False"),
    ],
)
def test_errors_are_sentences(how, words):
    with pytest.raises(ZooError, match=words):
        ViT(**{**SMALL, **how})


@pytest.mark.parametrize(
    "side, patch", [(8, 2), (16, 4), (28, 4), (32, 4), (64, 8), (96, 8), (224, 14), (256, 16), (384, 24), ((28, 56), 4)]
)
def test_a_patch_that_nobody_chose_fits_the_image(side, patch):
    assert fitting_patch(side) == patch
    config = {"_target_": "zoo.models.vit.ViT", "img_size": side, "patch_size": None}
    assert ViT.complete(config) == {**config, "patch_size": patch}
    assert ViT.complete({**config, "patch_size": 7})["patch_size"] == 7


def test_an_image_that_no_patch_fits_is_refused():
    with pytest.raises(ZooError, match="No patch divides images of 29x29 into 4 to 256 patches"):
        fitting_patch(29)


def test_the_config_of_a_run_says_which_patch_it_was():
    """So that weights are adapted to another image size with the patches that they know."""
    filled = fit(plain(compose("model=vit"))["model"], ImageSpec(img_size=8, in_chans=1), 10)
    assert filled["patch_size"] == 2 and zoo.build(filled).config["patch_size"] == 2
