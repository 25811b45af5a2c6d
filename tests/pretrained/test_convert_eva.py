"""zoo.convert: timm's Eva (EVA-02, DINOv3, RoPE-ViT, PE), Beit and VisionTransformerRelPos give the same logits (C14)."""

from functools import partial

import pytest
import timm
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

import zoo
from tests.pretrained.theirs import difference, randomise
from zoo.pretrained import initialise

TINY = {"img_size": (24, 40), "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 7}
ROPE = {"use_rot_pos_emb": True}
DINO = {**ROPE, "use_abs_pos_emb": False, "rope_type": "dinov3", "rope_temperature": 100.0, "rope_rotate_half": True}
MIXED = {**ROPE, "rope_type": "mixed", "rope_temperature": 10.0, "attn_type": "rope"}
SAME = {
    "eva": {},
    "eva, no biases": {"qkv_bias": False, "init_values": 0.1},
    "eva-02": {**ROPE, "swiglu_mlp": True, "ref_feat_shape": (16, 12), "mlp_ratio": 4 * 2 / 3},
    "eva-02, larger": {
        **ROPE, "swiglu_mlp": True, "scale_mlp": True, "qkv_fused": False, "scale_attn_inner": True, "global_pool": "token",
        "norm_layer": partial(nn.LayerNorm, eps=0.1),
    },
    "post-norm": {"use_post_norm": True, "global_pool": "token"},
    "dinov3": {**DINO, "init_values": 0.1, "num_reg_tokens": 4},
    "dinov3, aligned": {**DINO, "swiglu_mlp": True, "swiglu_align_to": 8, "mlp_ratio": 3.0},
    "columns first, offset": {
        **ROPE, "rope_grid_indexing": "xy", "rope_grid_offset": 1.0, "ref_feat_shape": 7, "attn_type": "rope",
        "use_pre_transformer_norm": True, "global_pool": "map", "attn_pool_num_heads": 2, "no_embed_class": True,
    },
    "maps apart": {**ROPE, "attn_type": "rope", "qkv_fused": False, "qk_norm": True, "class_token": False},
    "mixed": {**MIXED, "use_abs_pos_emb": False, "num_reg_tokens": 1},
    "mixed by rows, with positions": {**MIXED, "rope_grid_indexing": "ij", "num_classes": 0},
    "no final norm": {"use_post_transformer_norm": False, "use_fc_norm": False},
}  # fmt: skip


RELATIVE = {
    "beit": (Beit, {"use_abs_pos_emb": False, "use_rel_pos_bias": True, "init_values": 0.1}),
    "beit, one table": (Beit, {"use_shared_rel_pos_bias": True, "global_pool": "token", "swiglu_mlp": True}),
    "network": (VisionTransformerRelPos, {"init_values": None, "qk_norm": True}),
    "network, class token": (
        VisionTransformerRelPos,
        {"class_token": True, "global_pool": "token", "rel_pos_type": "mlp"},
    ),
    "swin's network, one": (
        VisionTransformerRelPos,
        {"rel_pos_type": "mlpswin", "shared_rel_pos": True, "fc_norm": True},
    ),
    "table": (VisionTransformerRelPos, {"rel_pos_type": "bias", "class_token": True, "block_fn": ResPostRelPosBlock}),
}


@pytest.mark.parametrize(
    "options", [(Eva, how) for how in SAME.values()] + list(RELATIVE.values()), ids=[*SAME, *RELATIVE]
)
def test_same_logits(options, tmp_path):
    kind, options = options
    theirs = randomise(kind(**{**TINY, **options}))
    ours = zoo.convert(theirs)
    assert difference(theirs, ours, (2, 3, 24, 40)) <= 1e-4
    again = zoo.load(zoo.save(ours, tmp_path / "model"))
    assert difference(ours, again, (2, 3, 24, 40)) == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"attn_type": "rope", "num_kv_heads": 2, "qkv_fused": False}, "num_kv_heads=2"),
        ({"attn_only_layer_scale": True, "init_values": 0.1}, "attn_only_layer_scale=True"),
        ({**DINO, "rope_rescale_coords": 2.0}, "rope.aug_active=True"),
        ({**DINO, "rope_type": "mrope", "embed_dim": 256}, "rope_type=RotaryEmbeddingMRope"),
        ({"patch_drop_rate": 0.1}, "patch_drop=PatchDropout"),
        ({"global_pool": "max"}, "global_pool='max'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ours_has_not_is_refused_by_name(options, name):
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(Eva(**{**TINY, **options}))
    assert name in str(refusal.value)


def test_both_kinds_of_shared_tables_are_refused():
    with pytest.raises(zoo.ZooError, match="use_shared_rel_pos_bias=True with use_rel_pos_bias=True"):
        zoo.convert(Beit(**TINY, use_rel_pos_bias=True, use_shared_rel_pos_bias=True))


def test_biases_go_over_to_another_grid_and_are_told(tmp_path):
    """B1: one table a layer, its entries of the class token as they were; on the same grid nothing changes."""
    source = zoo.convert(randomise(Beit(**TINY, use_abs_pos_emb=False, use_rel_pos_bias=True)))
    folder = str(zoo.save(source, tmp_path / "model"))
    same, changes = initialise(source.config, folder, {})
    assert changes == [] and difference(source, same.eval(), (2, 3, 24, 40)) == 0
    larger, changes = initialise(source.config, folder, {"img_size": 48})
    assert [change.name for change in changes] == [f"blocks.{i}.attn.position.table" for i in (0, 1)]
    assert changes[0].old == (5 * 9 + 3, 4) and changes[0].new == (11 * 11 + 3, 4)
    for name in (change.name for change in changes):
        assert larger.state_dict()[name][-3:].equal(source.state_dict()[name][-3:])


def test_positions_of_dinov3_go_over_to_another_grid_without_weights(tmp_path):
    """B1: angles go by the part of the image, in timm and here, so that a larger one changes no tensor."""
    make = partial(timm.create_model, "vit_small_patch16_dinov3", depth=1, embed_dim=64, num_heads=2)
    small = randomise(make(img_size=64))
    folder = zoo.save(zoo.convert(small), tmp_path / "model")
    larger, changes = initialise(zoo.load(folder).config, str(folder), {"img_size": [96, 64]})
    theirs = make(img_size=(96, 64))
    theirs.load_state_dict(small.state_dict())
    assert changes == [] and difference(theirs.eval(), larger.eval(), (2, 3, 96, 64)) <= 1e-4
