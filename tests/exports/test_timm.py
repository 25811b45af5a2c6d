"""A ViT of ours in timm: the same logits, or a refusal that names the option."""

import pytest
import timm
import torch
from safetensors import safe_open

import zoo
from tests.exports.models import VIT
from tests.pretrained.theirs import randomise
from zoo.errors import ZooError


def part(name, **settings):
    return {"_target_": name, "_partial_": True, **settings}


def small(**how):
    return randomise(zoo.create_model("vit_mini_patch2_8", depth=2, **how))


@pytest.mark.parametrize("how, given, suffix", [
    ({}, {"num_heads": 4, "mlp_ratio": 2.0}, ".pth"),
    ({"reg_tokens": 1, "prefix_position": False}, {"reg_tokens": 1, "no_embed_class": True}, ".safetensors"),
    ({"class_token": False, "pool": "mean", "pre_block_norm": True},
     {"class_token": False, "global_pool": "avg", "pre_norm": True}, ".safetensors"),
    ({"layer_scale": 0.1, "qkv_bias": False, "qk_norm": part("torch.nn.LayerNorm", eps=1e-6)},
     {"init_values": 0.1, "qk_norm": True}, ".safetensors"),
    ({"act": part("torch.nn.GELU", approximate="tanh"), "position": part("zoo.attention.Position")},
     {"act_layer": "gelu_tanh", "pos_embed": "none"}, ".safetensors"),
])  # fmt: skip
def test_timm_loads_what_is_written(how, given, suffix, tmp_path):
    model, file = small(**how), tmp_path / f"model{suffix}"
    done = zoo.export(model, "timm", file)
    call = done.told["load it"]
    assert done.difference <= 1e-5 and all(f"{key}={value!r}" in call for key, value in given.items())
    theirs = eval(call.replace("'<this file>'", repr(str(file)))).eval()
    images = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(theirs(images), model(images), atol=1e-5, rtol=1e-5)
    assert zoo.convert(theirs)(images).allclose(model(images), atol=1e-5)


def test_what_feeds_it_travels_in_the_file(tmp_path):
    model = VIT()
    model.preprocess, model.classes = zoo.models.Preprocess(8, 1, (0.3,), (0.4,)), tuple("abcdefghij")
    zoo.export(model, "timm", tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata()["classes"] == '["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]'
        assert '"mean": [0.3]' in file.metadata()["preprocess"]
    assert timm.models.load_state_dict(str(tmp_path / "m.safetensors")).keys() >= {
        "pos_embed",
        "blocks.0.attn.qkv.weight",
    }


@pytest.mark.parametrize("how, words", [
    ({"position": part("zoo.attention.ALiBi")}, r"blocks.\*.attn.position="),
    ({"attention": part("zoo.attention.Attention", score=part("zoo.attention.Dot"))}, r"blocks.\*.attn.score=Dot"),
    ({"pattern": {"_target_": "zoo.attention.Window", "size": 3}}, r"attn.pattern=.*Window\(size=3\)"),
    ({"feed_forward": part("zoo.layers.GatedFeedForward")}, r"no blocks.\*.mlp=GatedFeedForward: it is not"),
    ({"norm": part("torch.nn.LayerNorm", eps=1e-5)}, r"norm1.eps=1e-05"),
    ({"order": part("zoo.layers.post_norm")}, r"blocks.\*.order=post_norm"),
    ({"act": part("torch.nn.Mish")}, r"blocks.\*.mlp.act=Mish"),
])  # fmt: skip
def test_what_timm_has_not_is_refused_by_name(how, words, tmp_path):
    with pytest.raises(ZooError, match=words):
        zoo.export(small(**how), "timm", tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_other_families_and_kernels_are_refused(tmp_path):
    with pytest.raises(ZooError, match="class=GPT is not a vision transformer"):
        zoo.export(zoo.create_model("gpt_mini", vocab_size=9, dim=8, num_heads=1, depth=1), "timm", tmp_path / "m.pth")
    with pytest.raises(ZooError, match="kernel= is for graphs"):
        zoo.export(VIT(), "timm", tmp_path / "m.pth", kernel="sdpa")
