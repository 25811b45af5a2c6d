"""B2: "When the user asks for attention maps from a fused model, they get maps that sum to 1 without editing source,
and logits do not move."."""

import pytest
import torch

import zoo
from zoo.attention import record_attention
from zoo.errors import ZooError
from zoo.inspect import record_residual, rollout
from zoo.inspect.maps import patch_maps
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
    torch.testing.assert_close(predict(model, x).maps.heads.flatten(2), query[..., n:])


@pytest.mark.parametrize("more", [{}, {"reg_tokens": 3}, {"class_token": False, "pool": "mean"}])
def test_beside_the_heads_stand_every_layer_and_the_rollout(more):
    """B3: rows of the rollout sum to 1, so that what a map lacks of 1 is what class and register tokens got."""
    model = zoo.create_model("vit_tiny_patch16_224", **SMALL, **more).eval()
    x = torch.randn(2, 1, 8, 8)
    with record_attention(model) as recorded:
        model(x)
    _, layers, through = predict(model, x).maps
    n, by_class = model.num_prefix_tokens, model.cls_token is not None
    for i, weights in enumerate(recorded.values()):
        query = weights[:, :, 0] if by_class else weights[:, :, n:].mean(2)
        torch.testing.assert_close(layers[:, i].flatten(1), query.mean(1)[:, n:])
    seen = rollout(recorded.values())
    torch.testing.assert_close(through.flatten(1), (seen[:, 0] if by_class else seen[:, n:].mean(1))[:, n:])


def test_one_layer_has_no_rollout_beside_itself():
    model = zoo.create_model("vit_tiny_patch16_224", **{**SMALL, "depth": 1}).eval()
    assert predict(model, torch.randn(2, 1, 8, 8)).maps.rollout is None


def test_a_model_without_attention_has_no_map():
    from zoo.models.vision.cnn import CNN

    answer = predict(CNN(1, 3, widths=(4,)), torch.randn(2, 1, 8, 8))
    assert answer.maps is None and answer.probabilities.shape == (2, 3)


def test_latents_that_read_the_patches_have_maps():
    """A Perceiver's queries are no tokens of the image: the map is their mean; latents among themselves have none."""
    reads, among = torch.rand(2, 3, 5, 4), torch.rand(2, 3, 5, 5)
    maps = patch_maps([reads, among], (2, 2), 0, False)
    torch.testing.assert_close(maps.heads, reads.mean(2).unflatten(-1, (2, 2)))
    assert maps.layers.shape == (2, 1, 2, 2) and maps.rollout is None
    with pytest.raises(ZooError, match="are not over 0 tokens and 2 x 2 patches"):
        patch_maps([among], (2, 2), 0, False)
