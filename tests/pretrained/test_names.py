"""Every timm name of the plain ViT module, made small: the same logits, or a refusal that names the option (C14)."""

import re

import pytest
import timm
from timm.models import model_entrypoint

import zoo
from tests.pretrained.theirs import difference, randomise

PLAIN = ("timm.models.vision_transformer", "timm.models.deit")
NAMES = [name for name in timm.list_models() if model_entrypoint(name).__module__ in PLAIN]
#: These convert: test_convert_eva.py.
ELSEWHERE = ("timm.models.beit", "timm.models.eva", "timm.models.vision_transformer_relpos")
OTHERS = [n for n in timm.list_models(["vit_*", "deit*"]) if model_entrypoint(n).__module__ not in (*PLAIN, *ELSEWHERE)]
#: What our ViT has no counterpart of; every name that is not here converts.
REFUSED = {
    r".*_18x2_224": "block_fn=ParallelThingsBlock",
    r"vit_dpwee_.*": "block_fn=DiffParallelScalingBlock",
    r"vit_dlittle_.*|vit_dwee_.*": "attn_layer=DiffAttention",
}


def small(name):
    """The same architecture, narrow and shallow, random."""
    patch = int(found[1]) if (found := re.search(r"patch(\d+)", name)) else 16
    return randomise(timm.create_model(name, img_size=2 * patch, embed_dim=32, num_heads=2, depth=2, num_classes=5))


def test_every_plain_vit_of_timm_converts_or_is_refused_by_its_option():
    converted = 0
    for name in NAMES:
        theirs = small(name)
        option = next((option for pattern, option in REFUSED.items() if re.fullmatch(pattern, name)), None)
        if option:
            with pytest.raises(zoo.ZooError, match=re.escape(option)):
                zoo.convert(theirs)
        else:
            ours = zoo.convert(theirs)
            assert difference(theirs, ours, (2, 3, *ours.patch_embed.img_size)) <= 1e-4, name
            converted += 1
    print(f"of {len(NAMES)} names {converted} converted, {len(NAMES) - converted} refused")
    assert converted >= 170


@pytest.mark.slow
def test_every_other_vit_is_refused_by_its_class_or_stem():
    for name in OTHERS:
        with pytest.raises(zoo.ZooError, match=r"another architecture|HybridEmbed"):
            zoo.convert(timm.create_model(name, device="meta"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit3_small_patch16_224", "vit_base_patch32_clip_224"])
def test_whole_architectures(name):
    theirs = randomise(timm.create_model(name))
    assert difference(theirs, zoo.convert(theirs), (1, 3, 224, 224)) <= 1e-4
