"""B2: "When the user asks for attention maps from a fused model, they get maps that sum to 1 without editing source,
and logits do not move."."""

import pytest
import torch

import zoo
from zoo.attention import record_attention
from zoo.inspect import record_residual
from zoo.inspect.predictions import predict

SMALL = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 3, "dim": 32, "depth": 2, "num_heads": 2}


@pytest.mark.parametrize("kernel", [None, "sdpa", "reference"])
def test_maps_sum_to_one_and_logits_do_not_move(kernel):
    attention = {"_target_": "zoo.attention.Attention", "_partial_": True, "kernel": kernel}
    model = zoo.create_model("vit_tiny_patch16_224", **SMALL, attention=attention).eval()
    x = torch.randn(3, 1, 8, 8)
    plain = model(x)
    with record_attention(model) as maps:
        assert torch.equal(model(x), plain)
    assert list(maps) == ["blocks.0.attn", "blocks.1.attn"]
    for weights in maps.values():
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 17))
    with record_residual(model):
        assert torch.equal(model(x), plain)
    assert torch.equal(predict(model, x).probabilities, plain.softmax(-1))


@pytest.mark.parametrize("more", [{}, {"reg_tokens": 3}, {"class_token": False, "pool": "mean"}])
def test_the_map_is_of_the_last_layer_over_the_patches(more):
    model = zoo.create_model("vit_tiny_patch16_224", **SMALL, **more).eval()
    x = torch.randn(2, 1, 8, 8)
    with record_attention(model, only="blocks.1.attn") as maps:
        model(x)
    n = model.num_prefix_tokens
    last = maps["blocks.1.attn"]
    query = last[:, :, 0] if model.cls_token is not None else last[:, :, n:].mean(2)
    torch.testing.assert_close(predict(model, x).maps.flatten(2), query[..., n:])


def test_a_model_without_attention_has_no_map():
    from zoo.models.cnn import CNN

    answer = predict(CNN(1, 3, widths=(4,)), torch.randn(2, 1, 8, 8))
    assert answer.maps is None and answer.probabilities.shape == (2, 3)
