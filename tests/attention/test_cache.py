"""What a cache may be asked for, and what it refuses rather than answer wrongly."""

import pytest
import torch
from torch import nn

from tests.attention.examples import PATTERNS, POSITIONS, B, D, H, N, make
from zoo.attention import (
    Attention,
    Causal,
    Documents,
    FusedQKV,
    IdentityQKV,
    KVCache,
    Padding,
    RoPE,
    SeparateQKV,
    SharedKV,
    SharedQKV,
    Window,
)
from zoo.errors import ZooError

DIM = H * D
OF_A_CONTEXT = [SeparateQKV, SharedQKV, SharedKV, IdentityQKV]
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]


def tokens(n=N, **kind):
    return torch.randn(B, n, DIM, **{"dtype": torch.float64, **kind})


def attention(**how):
    return Attention(DIM, H, **how).double().eval()


def cache_of(length=N, dtype=torch.float64, **how):
    return KVCache(B, H, length, D, dtype=dtype, **how)


@pytest.mark.parametrize("projection", OF_A_CONTEXT)
@pytest.mark.parametrize("position", INSIDE)
def test_a_cached_context_is_the_context(projection, position):
    """Any projection that has a map for a context, any position: with a cache as without, at once or in steps."""
    layer = attention(projection=projection, position=None if position is None else make(position))
    x, context, places = tokens(5), tokens(6), torch.arange(5)
    torch.testing.assert_close(layer(x, context, cache=cache_of()), layer(x, context))
    with torch.no_grad():
        cache, want = cache_of(), layer(x, context, pos=places)
        steps = [layer(x[:, t : t + 1], context, pos=places[t : t + 1], cache=cache) for t in range(5)]
    torch.testing.assert_close(torch.cat(steps, 1), want)


def test_steps_on_a_context_say_where_they_are():
    """Query i stands at i + K - Q, and how many queries there will be is not known: every step would stand at K - 1."""
    layer, x, context, cache = attention(projection=SeparateQKV, position=RoPE), tokens(2), tokens(6), cache_of()
    with torch.no_grad():
        layer(x[:, :1], context, cache=cache)
        with pytest.raises(ZooError, match="RoPE needs the places of these queries"):
            layer(x[:, 1:], context, cache=cache)
        cache.reset()
        layer(x, context, cache=cache)
    layer, cache = attention(projection=SeparateQKV, pattern=Causal()), cache_of()
    with torch.no_grad():
        layer(x[:, :1], context, cache=cache)
        with pytest.raises(ZooError, match=r"Causal\(\) looks at the query's place"):
            layer(x[:, 1:], context, cache=cache)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_cache_under_autocast(context, dtype):
    """Keys are read in the type of the queries, whatever the cache keeps them in and the tokens come in."""
    layer = Attention(DIM, H, projection=SeparateQKV, position=RoPE)
    x, read = tokens(4, dtype=torch.float32), tokens(6, dtype=torch.float32) if context else None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        want = layer(x, read)
        got = layer(x, read, cache=cache_of(dtype=dtype))
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got, want, rtol=0, atol=0.02)


class InFloat32(nn.LayerNorm):
    """What autocast makes of a norm on a GPU."""

    def forward(self, x):
        return super().forward(x.to(self.weight.dtype)).float()


def test_norms_that_answer_in_float32():
    layer = Attention(DIM, H, qk_norm=InFloat32).bfloat16()
    assert layer(tokens(dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("context", [False, True])
def test_gradients_through_a_cache_are_refused(context):
    """They were 0, silently. What is asked for no gradient runs; what was written under no_grad is a constant."""
    layer, x = attention(projection=SeparateQKV), tokens(3)
    read = tokens(5) if context else None
    for steps in (1, 2):
        cache = cache_of()
        for _ in range(steps):
            out = layer(x, read, cache=cache)
        with pytest.raises(ZooError, match="keeps keys and values without their gradients"):
            out.sum().backward()
    cache = cache_of()
    with torch.no_grad():
        layer(x, read, cache=cache)
    if context:  # the queries train on what an encoder wrote once
        layer(x, read, cache=cache).sum().backward()
        assert layer.projection.q.weight.grad is not None and layer.projection.kv.weight.grad is None
    cache.reset()
    assert not cache.cut


@pytest.mark.parametrize("make_short", [
    lambda n: Padding(torch.ones(B, n).bool()), lambda n: Documents(torch.zeros(B, n).long()),
    lambda n: Documents(torch.zeros(n).long()),
])  # fmt: skip
def test_a_pattern_shorter_than_the_cache_is_refused(make_short):
    """Its last column was repeated. The slots that are still empty need none."""
    layer, x, cache = attention(pattern=Causal()), tokens(), cache_of(N + 2)
    with torch.no_grad():
        layer(x[:, :3], cache=cache, pattern=make_short(3))
        with pytest.raises(ZooError, match="but the cache holds 5 places"):
            layer(x[:, 3:5], cache=cache, pattern=make_short(4))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("position", [None, RoPE])
def test_queries_without_places(pattern, position):
    """Latents that read a context stand nowhere: a window on 8 latents and 64 keys saw the last ones, silently."""
    pattern = PATTERNS[pattern]()
    how = dict(projection=SeparateQKV, query_places=False)
    if position is not None:
        with pytest.raises(ZooError, match="RoPE uses the query's place"):
            Attention(DIM, H, position=position, **how)
    elif pattern.uses_query:
        with pytest.raises(ZooError, match="looks at the query's place"):
            Attention(DIM, H, pattern=pattern, **how)
        with pytest.raises(ZooError, match="looks at the query's place"):
            Attention(DIM, H, **how)(tokens(), tokens(), pattern=pattern)
    else:
        got = attention(pattern=pattern, **how)(tokens(N + 2), tokens())
        assert got.shape == (B, N + 2, DIM)


def test_places_stay_the_default():
    """i + K - Q: the queries are the last of the keys."""
    layer = attention(projection=SeparateQKV, pattern=Window(1))
    x, context = tokens(2), tokens(6)
    changed = context.clone()
    changed[:, :4] += 1
    torch.testing.assert_close(layer(x, context), layer(x, changed))


def test_fused_projections_have_no_context():
    for how in ({}, {"cache": cache_of()}):
        with pytest.raises(ZooError, match="SeparateQKV"):
            attention(projection=FusedQKV)(tokens(), tokens(), **how)
