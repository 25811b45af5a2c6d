"""LSH: its definition written down with loops."""

import math

import pytest
import torch

from tests.attention.examples import B, D, H, tensors
from zoo.attention import (
    LSH,
    Attention,
    AttentionCall,
    SeparateQKV,
    attend,
)  # fmt: skip


def weights_of(q, k, v, pattern, **how):
    return attend(q, k, v, pattern=pattern, need_weights=True, kernel="reference", **how).weights


@pytest.mark.parametrize("K", [2, 7, 30])
@pytest.mark.parametrize("rounds, bucket", [(1, 2), (4, 3), (2, 64)])
def test_lsh_equals_loops(K, rounds, bucket):
    """Pairs in one bucket of some round, and oneself; the rotations are the pattern's, the rest is by hand."""
    pattern = LSH(rounds, bucket)
    q, k, v = (x.detach() for x in tensors(K, K, kv=2))
    call = AttentionCall(q, k, v, pattern=pattern)
    turns = pattern.rotations(call)
    if bucket >= K:
        assert turns is None
        torch.testing.assert_close(attend(q, k, v, pattern=pattern).out, attend(q, k, v).out)
        return
    assert turns.shape == (D, rounds, math.ceil(K / bucket / 2))
    seen = weights_of(q, k, v, pattern) > 0

    def bucket_of(x, r):
        turned = x @ turns[:, r].double()
        return int(torch.cat([turned, -turned]).argmax())

    for b in range(B):
        for h in range(H):
            for i in range(K):
                for j in range(K):
                    near = any(bucket_of(q[b, h, i], r) == bucket_of(k[b, h // 2, j], r) for r in range(rounds))
                    assert seen[b, h, i, j] == (near or i == j)


def test_rotations_are_normal():
    turns = LSH(8, 4).rotations(AttentionCall(*(torch.zeros(1, 1, 800, 16),) * 3))
    assert turns.mean().abs() < 0.02 and abs(turns.std() - 1) < 0.02 and turns.dtype == torch.float32


def test_near_keys_are_found_and_more_rounds_find_more():
    x = torch.randn(1, 1, 512, 32)
    near = x + 0.1 * torch.randn_like(x)
    rates = []
    for rounds in (1, 4):
        chosen = LSH(rounds, 16).chosen(AttentionCall(x, near, near, cross=True))[0, 0]
        rates.append((chosen.diagonal().float().mean().item(), chosen.float().mean().item()))
    assert rates[0][0] > 0.6 and rates[1][0] > 0.95, "a near key shares a bucket"
    assert rates[0][1] < 0.1 and rates[0][1] < rates[1][1] < 0.3, "others seldom do"


def test_a_context_without_a_common_bucket_gives_0():
    """No place of its own among the keys: nothing to fall back on."""
    q, k = torch.ones(1, 1, 9, 4), torch.ones(1, 1, 3, 4)
    assert (attend(q, -k, k, pattern=LSH(1, 2)).out == 0).all() and (attend(q, k, k, pattern=LSH(1, 2)).out == 1).all()
    layer = Attention(4, 1, pattern=LSH(1, 2), projection=SeparateQKV)
    assert layer(torch.randn(2, 9, 4), torch.randn(2, 9, 4)).isfinite().all()
