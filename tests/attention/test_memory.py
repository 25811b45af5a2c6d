"""A context remembered: the same attention, its keys made once."""

import math

import pytest
import torch

from tests.attention.examples import SCORES, B, D, H, make
from zoo.attention import (
    Additive,
    ALiBi,
    Attention,
    Full,
    General,
    IdentityQKV,
    LocalP,
    Padding,
    RoPE,
    SeparateQKV,
    Window,
    record_attention,
)
from zoo.errors import ZooError

DIM, T, S, LENGTHS = H * D, 5, 8, torch.tensor([8, 5])


def layer(kv=H, **how) -> Attention:
    torch.manual_seed(0)
    return Attention(DIM, H, num_kv_heads=kv, **{"projection": SeparateQKV, **how}).double().eval()


def given(seed=1):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(B, n, DIM, generator=g, dtype=torch.float64, requires_grad=True) for n in (T, S)]


@pytest.mark.parametrize("pattern", [Full(), Window(2)])
@pytest.mark.parametrize("kind", SCORES)
def test_a_memory_is_the_context(kind, pattern):
    """At once and step by step, outputs and gradients, for every score."""
    part, (x, context), places = layer(score=make(kind), pattern=pattern), given(), torch.arange(T)
    want = part(x, context, pattern=Padding(LENGTHS), q_pos=places)
    memory = part.remember(context, LENGTHS)
    whole = part(x, memory, q_pos=places)
    steps = torch.cat([part(x[:, t : t + 1], memory, q_pos=places[t : t + 1]) for t in range(T)], 1)
    of = [x, context, *part.parameters()]
    wanted = torch.autograd.grad(want.sin().sum(), of, retain_graph=True, allow_unused=True)
    for out in (whole, steps):
        torch.testing.assert_close(out, want, rtol=1e-10, atol=1e-12)
        found = torch.autograd.grad(out.sin().sum(), of, retain_graph=True, allow_unused=True)
        for a, b in zip(found, wanted, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("position", [RoPE, ALiBi])
@pytest.mark.parametrize("kv", [H, 1])
def test_a_memory_with_places_and_shared_heads(position, kv):
    part, (x, context), places = layer(kv, position=position), given(), torch.arange(T)
    want = part(x, context, pattern=Padding(LENGTHS), q_pos=places)
    torch.testing.assert_close(part(x, part.remember(context, LENGTHS), q_pos=places), want)
    with pytest.raises(ZooError, match="needs the places of queries on a memory: give q_pos="):
        part(x, part.remember(context))


@pytest.mark.parametrize("score", [Additive, lambda head_dim: Additive(head_dim, hidden=3), General, LocalP])
def test_what_depends_on_keys_alone_is_made_once(score):
    """U_a h_j of Bahdanau et al. 2015, appendix A.1.2; hidden units of any number."""
    part, (x, context) = layer(score=score, projection=IdentityQKV), given()
    calls = []
    for module in part.modules():
        if module is getattr(part.score, "key", None):
            module.register_forward_hook(lambda *_: calls.append(1))
    memory = part.remember(context, LENGTHS)
    for t in range(T):
        part(x[:, t : t + 1], memory)
    assert len(calls) == isinstance(part.score, Additive)


def test_padding_goes_nowhere():
    """NaN in padding, on either side; each sample alone, and in another order."""
    part, (x, context) = layer(score=General), given()
    with torch.no_grad():
        context[1, 5:] = math.nan
        memory = part.remember(context, LENGTHS)
        out = part(x, memory)
        torch.testing.assert_close(out[1:], part(x[1:], part.remember(context[1:, :5])))
        order = torch.tensor([1, 0, 1])
        torch.testing.assert_close(part(x[order], memory.select(order)), out[order])
        left = torch.cat([torch.full((1, 3, DIM), math.nan, dtype=torch.float64), context[1:, :5]], 1)
        torch.testing.assert_close(part(x[1:], part.remember(left, mask=torch.arange(8)[None] > 2)), out[1:])


@pytest.mark.parametrize(
    "q_pos", [None, torch.arange(T), torch.arange(T) % 3 + torch.zeros(3 * B, 1, dtype=torch.long)]
)
@pytest.mark.parametrize("kind", SCORES)
def test_rows_of_one_sample_share_its_memory(kind, q_pos):
    """Three rows a sample, as beams are: as if each had keys of its own; those are never copied where places are given."""
    part = layer(score=make(kind), pattern=Window(2), kv=1)
    context, g = given()[1], torch.Generator().manual_seed(2)
    x = torch.randn(3 * B, T, DIM, generator=g, dtype=torch.float64)
    memory = part.remember(context, LENGTHS)
    own = memory.select(torch.arange(B).repeat_interleave(3))
    torch.testing.assert_close(part(x, memory, q_pos=q_pos), part(x, own, q_pos=q_pos))


def test_rows_that_share_no_memory():
    part, (x, context) = layer(), given()
    memory = part.remember(context, LENGTHS)
    with pytest.raises(ZooError, match="A memory of 2 samples answers as many rows, or several each; got 3"):
        part(x[[0, 0, 1]], memory)
    with pytest.raises(ZooError, match="with arguments that are of one row a sample"):
        part(x[[0, 0, 1, 1]], memory, bias=torch.zeros(4, 1, T, S))


def test_a_memory_is_recorded_on_its_keys():
    part, (x, context) = torch.nn.Sequential(layer()), given()
    memory = part[0].remember(context, LENGTHS)
    with record_attention(part) as maps:
        part[0](x, memory)
    assert maps["0"].shape == (B, H, T, S) and not maps["0"][1, ..., 5:].any()
    torch.testing.assert_close(maps["0"].sum(-1), torch.ones(B, H, T).double())


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (dict(lengths=LENGTHS, mask=torch.ones(B, S, dtype=torch.bool)), "say the same"),
        (dict(lengths=torch.tensor([1])), r"one number a sample, \[2\]; got \[1\]"),
        (dict(mask=torch.ones(B, S)), r"bool \[2, 8\]; got torch.float32"),
    ],
)
def test_what_does_not_fit_is_refused(how, match):
    part, (x, context) = layer(), given()
    with pytest.raises(ZooError, match=match):
        part.remember(context, **how)
    with pytest.raises(ZooError, match="leave out cache= and places="):
        part(x, part.remember(context), places=torch.arange(T))
