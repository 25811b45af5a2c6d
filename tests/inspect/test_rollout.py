"""B3: "When rollout runs, rows sum to 1 and it uses pre-dropout weights, CLS/register tokens handled by name."."""

import pytest
import torch

import zoo
from zoo.attention import record_attention
from zoo.errors import ZooError
from zoo.inspect import head_entropy, rollout

SMALL = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 3, "dim": 16, "depth": 3, "num_heads": 2}


@pytest.mark.parametrize("more", [{}, {"reg_tokens": 2}, {"class_token": False, "pool": "mean"}])
def test_rows_sum_to_one_in_training_with_dropout(more):
    model = zoo.create_model("vit_tiny_patch16_224", **SMALL, attn_dropout=0.5, **more).train()
    with record_attention(model) as maps:
        model(torch.randn(2, 1, 8, 8))
    seen = rollout(maps.values())
    n = 4 + model.num_prefix_tokens
    assert seen.shape == (2, n, n)
    torch.testing.assert_close(seen.sum(-1), torch.ones(2, n))
    assert (seen >= 0).all()
    assert seen[:, 0, model.num_prefix_tokens :].shape == (2, 4)


def test_equals_the_paper_by_hand():
    """Abnar and Zuidema 2020: A = 0.5 W + 0.5 I, rolled out as A_2 A_1."""
    first, second = torch.rand(2, 1, 3, 4, 4, dtype=torch.float64).softmax(-1)
    by_hand = (second.mean(1) + torch.eye(4)) / 2 @ ((first.mean(1) + torch.eye(4)) / 2)
    torch.testing.assert_close(rollout([first, second]), by_hand)


def test_identity_attention_rolls_out_to_identity_and_uniform_to_uniform():
    one = torch.eye(5).expand(1, 2, 5, 5)
    torch.testing.assert_close(rollout([one, one]), torch.eye(5)[None])
    uniform = torch.full((1, 2, 5, 5), 0.2)
    torch.testing.assert_close(rollout([uniform] * 2, residual=0.0), uniform[:, 0])


def test_a_query_without_keys_keeps_itself():
    weights = torch.zeros(1, 1, 3, 3)
    for residual in (0.0, 0.5):
        torch.testing.assert_close(rollout([weights, weights], residual), torch.eye(3)[None])


@pytest.mark.parametrize("maps", [[], [torch.ones(1, 1, 2, 3)], [torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)]])
def test_maps_that_do_not_follow_one_another_are_refused(maps):
    with pytest.raises(ZooError, match="rollout"):
        rollout(maps)


def test_a_residual_that_is_no_share_is_refused():
    with pytest.raises(ZooError, match=r"residual=2"):
        rollout([torch.ones(1, 1, 1, 1)], residual=2)


def test_head_entropy_from_one_key_to_all_alike():
    weights = torch.stack([torch.eye(8), torch.full((8, 8), 1 / 8), torch.zeros(8, 8)])[None]
    torch.testing.assert_close(head_entropy(weights), torch.tensor([[0.0, torch.log(torch.tensor(8.0)), 0.0]]))
