"""Byte dropout: exact in expectation, seeded by torch, a byte kept a number."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zoo.attention import Attention, attend, byte_dropout, explain
from zoo.attention.dropout import bytes_of
from zoo.layers import ByteDropout, FeedForward


@pytest.mark.parametrize("p", [0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.95])
def test_the_share_and_the_scale_are_those_of_a_byte(p):
    torch.manual_seed(0)
    x = torch.ones(400_003)
    out, rate = byte_dropout(x, p), ByteDropout(p).rate
    assert rate == bytes_of(p) / 256 and abs(rate - p) <= 0.05 * min(p, 1 - p)
    assert out.unique().tolist() == [0.0, pytest.approx(1 / (1 - rate))]
    deviation = math.sqrt(rate * (1 - rate) / len(x))
    assert abs((out == 0).double().mean() - rate) < 4 * deviation


def test_every_byte_of_a_draw_is_random():
    """random_() alone leaves the highest bit 0: one number of eight would be dropped twice as often."""
    torch.manual_seed(0)
    dropped = (byte_dropout(torch.ones(100_000, 8), 0.5) == 0).double().mean(0)
    assert (dropped - 0.5).abs().max() < 4 * math.sqrt(0.25 / 100_000)
    each = (byte_dropout(torch.ones(100_000, 8), 0.3) == 0).double()
    assert (torch.corrcoef(each.T) - torch.eye(8)).abs().max() < 5 / math.sqrt(100_000)


@pytest.mark.parametrize("p", [0.001, 0.003, 0.999, 1.0])
def test_a_rate_that_no_byte_has_is_left_to_torch(p):
    x = torch.randn(1000)
    assert bytes_of(p) is None and ByteDropout(p).rate == p
    torch.manual_seed(3)
    out = byte_dropout(x, p)
    torch.manual_seed(3)
    assert torch.equal(out, F.dropout(x, p))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_shapes_and_types(shape, dtype):
    x = torch.randn(shape, dtype=dtype)
    out = byte_dropout(x, 0.5)
    assert out.shape == x.shape and out.dtype == dtype
    assert torch.equal(out, torch.where(out == 0, 0, 2 * x))


def test_nothing_happens_in_eval_or_at_no_rate():
    x = torch.randn(3, 4)
    state = torch.get_rng_state()
    assert ByteDropout(0.3).eval()(x) is x and byte_dropout(x, 0.0) is x and byte_dropout(x, 0.3, False) is x
    assert torch.equal(torch.get_rng_state(), state)
    assert byte_dropout(torch.zeros(0, 3), 0.3).shape == (0, 3)


def test_the_state_of_torchs_generator_says_which():
    """Resume is exact. The mask is the same for any number of threads."""
    x = torch.randn(64, 1000)
    torch.manual_seed(5)
    state, first = torch.get_rng_state(), byte_dropout(x, 0.3)
    second = byte_dropout(x, 0.3)
    torch.set_rng_state(state)
    assert torch.equal(byte_dropout(x.t().contiguous().t(), 0.3), first) and not torch.equal(first, second)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(byte_dropout(x, 0.3), second)
    finally:
        torch.set_num_threads(before)


def test_gradients_pass_where_numbers_pass():
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)

    def same_mask(x):
        torch.manual_seed(1)
        return byte_dropout(x, 0.3) ** 2

    assert torch.autograd.gradcheck(same_mask, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(same_mask, x)


def test_bytes_are_kept_for_the_way_back():
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        byte_dropout(torch.randn(64, requires_grad=True), 0.3)
    assert [each.dtype for each in saved] == [torch.uint8]


def test_compiled_and_exported_it_is_torchs():
    layer, x = ByteDropout(0.3), torch.randn(8, 32)
    program = torch.export.export(layer, (x,))
    assert "dropout" in str(program.graph) and "autograd" not in str(program.graph)
    out = torch.compile(layer, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(out, torch.where(out == 0, 0, x / 0.7))  # the rate is p itself


def test_attention_drops_with_it():
    """The kernel that keeps the weights is chosen: the CPU's fused one keeps them too where there is dropout."""
    q = torch.randn(2, 4, 300, 16)
    assert explain(q, q, q, dropout=0.3).chosen == "sdpa"
    attn = Attention(64, 4, dropout=0.3, drop=byte_dropout)
    x = torch.randn(2, 300, 64)
    torch.manual_seed(0)
    out = attn(x)
    torch.manual_seed(0)
    q, k, v = attn.projection(x, None)
    weights = byte_dropout(attend(q, k, v, need_weights=True).weights, 0.3)
    torch.testing.assert_close(out, attn.output(weights @ v))
    assert torch.equal(attn.eval()(x), Attention.forward(copy.deepcopy(attn), x))


def test_layers_take_it_as_a_part():
    layer = FeedForward(8, 16, dropout=0.3, drop=ByteDropout)
    assert isinstance(layer.drop, ByteDropout) and layer.drop.p == 0.3
    assert type(FeedForward(8, 16, dropout=0.3).drop) is nn.Dropout
