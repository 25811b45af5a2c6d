"""The layer: parity with torch's own, grouped heads, cross-attention, caches (contract 4)."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.attention.examples import PATTERNS, POSITIONS, B, D, H, N, make
from zoo.attention import (
    ALiBi,
    Attention,
    Causal,
    Documents,
    KVCache,
    MeanHeads,
    Padding,
    Prefix,
    RoPE,
    SeparateQKV,
    SkipPrefix,
    Window,
)  # fmt: skip
from zoo.errors import ZooError

DIM = H * D
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]


def tokens(n=N, batch=B):
    return torch.randn(batch, n, DIM, dtype=torch.float64)


def attention(**how):
    return Attention(DIM, H, **how).double().eval()


@pytest.mark.parametrize("causal", [False, True])
def test_parity_with_torch_multihead_attention(causal):
    """C14, bug 26: same weights, same outputs, gradients and attention weights; torch's mask has the other polarity."""
    ours, theirs = (
        attention(pattern=Causal() if causal else None),
        nn.MultiheadAttention(DIM, H, batch_first=True).double(),
    )
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = (
        ours.projection.qkv.weight.data,
        ours.projection.qkv.bias.data,
    )
    theirs.out_proj.load_state_dict(ours.output.proj.state_dict())
    x, length = tokens(), torch.tensor([N, 4])
    hidden = torch.arange(N) >= length[:, None]
    mask = torch.ones(N, N).triu(1).bool() if causal else None
    want = theirs(x, x, x, key_padding_mask=hidden, attn_mask=mask, need_weights=False)[0]
    got = ours(x, pattern=Padding(length))
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("kv", [1, 2, 4])
def test_grouped_heads_read_their_group(kv):
    """GQA with key heads copied out is plain multi-head attention; kv=1 is MQA."""
    grouped, full = attention(num_kv_heads=kv), attention()
    q, k, v = grouped.projection.qkv.weight.data.split([DIM, kv * D, kv * D])
    wide = [w.view(kv, D, DIM).repeat_interleave(H // kv, 0).flatten(0, 1) for w in (k, v)]
    full.projection.qkv.weight.data = torch.cat([q, *wide])
    q, k, v = grouped.projection.qkv.bias.data.split([DIM, kv * D, kv * D])
    full.projection.qkv.bias.data = torch.cat(
        [q, *(b.view(kv, D).repeat_interleave(H // kv, 0).flatten() for b in (k, v))]
    )
    full.output.load_state_dict(grouped.output.state_dict())
    x = tokens()
    torch.testing.assert_close(grouped(x), full(x))


def test_cross_attention():
    ours = attention(projection=partial(SeparateQKV, context_dim=12))
    x, context = tokens(9), torch.randn(B, 5, 12, dtype=torch.float64)
    assert ours(x, context).shape == x.shape
    assert not torch.allclose(ours(x, context), ours(x, context, pattern=Padding(torch.tensor([2, 5]))))
    with pytest.raises(ZooError, match="SeparateQKV"):
        attention()(x, context)


def test_output_may_average_the_heads():
    assert attention(output=MeanHeads)(tokens()).shape == (B, N, D)


def test_run_time_pattern_is_anded_to_the_static_one():
    x, pad = tokens(), Padding(torch.tensor([3, N]))
    layer = attention(pattern=Causal())
    both = attention(pattern=Causal() & pad)
    both.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x, pattern=pad), both(x))


@pytest.mark.parametrize("position", INSIDE)
@pytest.mark.parametrize("pattern", [name for name in PATTERNS if "Prefix[B]" not in name])
@pytest.mark.parametrize("kv", [1, 4])
def test_decode_equals_the_full_forward(pattern, position, kv):
    """Contract 4, C6: prefill and steps with a cache give the full forward, for every index pattern & Causal(); a choice
    that goes by the whole sequence refuses the steps.

    Causal() | Prefix(n) too, with the prefix in the prefill.
    """
    static = PATTERNS[pattern]()
    static = static if pattern == "Causal | Prefix" else Causal() & static
    part = None if position is None else make(position)
    layer, x = attention(pattern=static, position=part, num_kv_heads=kv), tokens()
    want = layer(x)
    for length in (N, N + 4):
        cache = KVCache(B, kv, length, D, dtype=torch.float64)
        if static.needs_whole:
            with torch.no_grad():  # a prompt on an empty cache is the whole sequence
                torch.testing.assert_close(layer(x[:, : N - 1], cache=cache), layer(x[:, : N - 1]))
                with pytest.raises(ZooError, match="goes by the whole sequence"):
                    layer(x[:, :1], cache=cache)
            continue
        with torch.no_grad():
            pieces = [layer(piece, cache=cache) for piece in x.split([3, 1, 2, *[1] * (N - 6)], dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), want)


def test_ring_cache_is_exact_for_a_window():
    layer, x = attention(pattern=Causal() & Window(3), position=RoPE), tokens(20)
    cache = KVCache(B, H, 5, D, dtype=torch.float64, ring=True)
    with torch.no_grad():
        steps = [layer(piece, cache=cache) for piece in x.split([2, *[1] * 18], dim=1)]
    torch.testing.assert_close(torch.cat(steps, 1), layer(x))


@pytest.mark.parametrize("step", [2, 3])
def test_ring_cache_takes_chunks_with_room_for_them(step):
    """length >= size + n - 1: the first of n new tokens still looks back size - 1."""
    layer, x = attention(pattern=Causal() & Window(4), position=RoPE), tokens(18)
    cache = KVCache(B, H, 4 + step - 1, D, dtype=torch.float64, ring=True)
    with torch.no_grad():
        chunks = [layer(piece, cache=cache) for piece in x.split(step, dim=1)]
    torch.testing.assert_close(torch.cat(chunks, 1), layer(x))


@pytest.mark.parametrize("kind", [RoPE, ALiBi])
def test_tokens_without_a_place_decode(kind):
    """A prefix without places (class and register tokens) goes by place, not by index: cached steps are right."""
    layer, x = attention(pattern=Causal(), position=SkipPrefix(make(kind), 2)), tokens()
    cache = KVCache(B, H, N, D, dtype=torch.float64)
    with torch.no_grad():
        pieces = [layer(piece, cache=cache) for piece in x.split([1, 3, 1, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), layer(x))


def test_left_padded_generation():
    """C5, C6: a left-padded row decodes as its batch of one does."""
    layer, x = attention(pattern=Causal(), position=ALiBi), tokens()
    want = layer(x[1:, 3:])
    cache = KVCache(B, H, N, D, dtype=torch.float64)
    mask = torch.arange(N) >= torch.tensor([[0], [3]])
    with torch.no_grad():
        pieces = [layer(p, cache=cache, pattern=Padding(mask)) for p in x.split([5, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1)[1:, 3:], want)


def test_documents_decode_with_ids_known_ahead():
    layer, x = attention(pattern=Causal() & Documents(torch.tensor([0, 0, 1, 1, 1, 2, 2]))), tokens()
    cache = KVCache(B, H, N, D, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([layer(p, cache=cache) for p in x.split(1, 1)], 1), layer(x))


def test_cross_attention_caches_its_keys_once():
    layer = attention(projection=SeparateQKV)
    x, context = tokens(3), tokens(5)
    cache = KVCache(B, H, 5, D, dtype=torch.float64)
    with torch.no_grad():
        first = layer(x, context, cache=cache)
        again = layer(x, torch.zeros_like(context), cache=cache)  # not projected again
    torch.testing.assert_close(first, layer(x, context))
    torch.testing.assert_close(again, first)
    with pytest.raises(ZooError, match="holds a context of 5, but this one has 4"):
        layer(x, context[:, :4], cache=cache)
    with pytest.raises(ZooError, match="SeparateQKV"):
        attention()(x, context, cache=KVCache(B, H, 5, D, dtype=torch.float64))


def test_a_full_cache_says_so_and_a_reset_one_is_new():
    layer, cache = attention(pattern=Causal()), KVCache(B, H, 4, D, dtype=torch.float64)
    layer(tokens(3), cache=cache)
    with pytest.raises(ZooError, match="3 of 4 places are taken and 2 more came"):
        layer(tokens(2), cache=cache)
    cache.reset()
    x = tokens(4)
    torch.testing.assert_close(layer(x, cache=cache), layer(x))
    with pytest.raises(ZooError, match="got keys"):
        layer(tokens(2, batch=1), cache=cache)
    assert not cache.state_dict(), "a cache is not part of a checkpoint"


def test_prefix_lm_prefill():
    layer = attention(pattern=Causal() | Prefix(4))
    x = tokens()
    changed = x.clone()
    changed[:, 3] += 1  # in the prefix: seen by the first token too
    assert not torch.allclose(layer(x)[:, 0], layer(changed)[:, 0])
    changed = x.clone()
    changed[:, 5] += 1
    torch.testing.assert_close(layer(x)[:, :5], layer(changed)[:, :5])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Attention(10, 4), "dim=10 is not divisible by num_heads=4"),
        (lambda: Attention(16, 4, num_kv_heads=3), "num_kv_heads=3"),
        (lambda: Attention(16, 0), "positive"),
        (lambda: Attention(16, 4, num_kv_heads=0), "positive"),
        (lambda: attention(position=RoPE, projection=SeparateQKV)(tokens(5), tokens(3)), "5 queries on 3 keys"),
        (lambda: attention(kernel="flex")(tokens()), "CUDA"),
        (lambda: KVCache(1, 1, 0, 4), "positive"),
        (lambda: attention(pattern=Window), "pattern is an object such as Pattern's subclasses make, not <class"),
        (lambda: attention()(tokens(), pattern=Causal), "pattern is an object"),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(ZooError, match=words):
        call()


@pytest.mark.parametrize("position", [None, ALiBi, RoPE])
@pytest.mark.parametrize("pattern", [None, Causal(), Window(2)])
@pytest.mark.parametrize("heads", [1, H])
def test_a_bias_goes_in_and_logits_come_out(pattern, position, heads):
    """Residual scores: the logits of one layer are the next one's bias. Against the equation, gradients to the bias too."""
    layer = Attention(DIM, heads, pattern=pattern, position=position, output=nn.Identity()).double()
    x, bias = tokens(), torch.randn(B, heads, N, N, dtype=torch.float64, requires_grad=True)
    out, logits = layer(x, bias=bias, need_logits=True)
    plain, before = layer(x, need_logits=True)
    torch.testing.assert_close(logits, before + bias)
    torch.testing.assert_close(out, logits.softmax(-1) @ layer.projection(x)[2])
    torch.testing.assert_close(layer(x), plain)
    torch.testing.assert_close(layer(x, bias=bias), out)  # whatever kernel
    grads = [torch.autograd.grad(y.square().sum(), bias)[0] for y in (out, layer(x, bias=bias))]
    torch.testing.assert_close(*grads)
    logits = layer(x, bias=bias, need_logits=True)[1]
    seen = logits > -torch.inf
    (grad,) = torch.autograd.grad(logits[seen].sum(), bias)
    assert torch.equal(grad, seen.double()), "the logits themselves carry gradients on"


@pytest.mark.parametrize("shape", [(N, N), (H, 1, N), (B, 1, N, N), (1, H, N, N)])
def test_a_bias_broadcasts(shape):
    layer, x, bias = attention(), tokens(), torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(layer(x, bias=bias), layer(x, bias=bias.expand(B, H, N, N).contiguous()))
    with pytest.raises(ZooError, match="does not broadcast"):
        layer(x, bias=bias[..., :3])


def test_a_bias_beside_padding_and_context():
    x, context = tokens(5), tokens(N)
    layer = attention(projection=SeparateQKV)
    out, logits = layer(x, context, bias=torch.ones(5, N), pattern=Padding(torch.tensor([N, 3])), need_logits=True)
    assert out.shape == x.shape and logits.shape == (B, H, 5, N) and (logits[1, ..., 3:] == -torch.inf).all()
    torch.testing.assert_close(out, layer(x, context, pattern=Padding(torch.tensor([N, 3]))))  # the same for all keys
