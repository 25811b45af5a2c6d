"""LSH: its definition written down with loops."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.attention.examples import B, D, H, tensors
from zoo.attention import (
    LSH,
    Attention,
    AttentionCall,
    Causal,
    Full,
    Global,
    Padding,
    SeparateQKV,
    TopK,
    Window,
    attend,
    explain,
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


@pytest.mark.parametrize("heads, kv", [(4, 4), (4, 2), (1, 1)])
@pytest.mark.parametrize("rest", [Full(), Causal(), Padding(torch.tensor([90, 150])), Causal() & Window(20)], ids=str)
def test_the_kernel_at_length(rest, heads, kv):
    """Buckets of several chunks and of none, tokens that several rounds find: outputs and gradients of the oracle."""
    q_k_v = tensors(150, 150, heads, kv)
    weight = torch.randn(B, heads, 150, D, dtype=torch.float64)
    for training in (False, True):
        outs = []
        for kernel in ("lsh", "reference"):
            torch.manual_seed(0)
            outs.append(attend(*q_k_v, pattern=LSH(3, 20) & rest, kernel=kernel, training=training).out)
        torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)
        for a, b in zip(*(torch.autograd.grad((out * weight).sum(), q_k_v) for out in outs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_all_in_one_bucket():
    """Vectors that are all alike fall into one bucket of each round: full attention, however uneven that is."""
    q, k, v = (x.detach() for x in tensors(100, 100, kv=H))
    q, k = (x[:, :, :1].expand_as(x) + 1e-6 * x for x in (q, q))
    torch.testing.assert_close(attend(q, k, v, pattern=LSH(2, 10), kernel="lsh").out, attend(q, k, v).out)


@pytest.mark.parametrize("Q, K", [(80, 30), (30, 80)])
def test_the_kernel_on_a_context(Q, K):
    layer = Attention(D, 2, pattern=LSH(2, 8), projection=SeparateQKV).double().eval()
    x, context = torch.randn(B, Q, D, dtype=torch.float64), torch.randn(B, K, D, dtype=torch.float64)
    for pattern in (None, Padding(torch.tensor([K, 9]))):
        outs = []
        for layer.kernel in ("lsh", "reference"):
            outs.append(layer(x, context, pattern=pattern))
        torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)


def test_what_the_kernel_refuses():
    q, k, v = tensors(600, 600)

    def said(**how):
        return dict(explain(q, k, v, **how).lines)["lsh"]

    assert said(pattern=LSH()) == said(pattern=Window(3) & LSH() & Causal()) == "runs"
    assert "alone or with patterns" in said(pattern=LSH() | Global(1)) and "alone" in said(pattern=LSH() & TopK(3))
    assert "whole matrix" in said(pattern=LSH(), bias=torch.zeros(600, 600))


def test_products_grow_with_the_length():
    """Floating point operations of forward and backward at a fixed bucket: below N^1.35 (buckets differ in size)."""
    flops = []
    for n in (1024, 4096):
        q, k, v = (torch.randn(1, 2, n, 32, requires_grad=True) for _ in range(3))
        with FlopCounterMode(display=False) as count:
            attend(q, k, v, pattern=LSH(2, 64)).out.sum().backward()
        flops.append(count.get_total_flops())
    assert math.log(flops[1] / flops[0]) / math.log(4) < 1.35
