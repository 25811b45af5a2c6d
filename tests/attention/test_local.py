"""Local attention of Luong et al. 2015, section 3.2, against loops over the paper's equations; queries placed in a context."""

import math

import pytest
import torch
from torch import Tensor

from zoo.attention import (
    ALiBi,
    Attention,
    Dot,
    General,
    IdentityQKV,
    KVCache,
    LocalP,
    Padding,
    RoPE,
    SeparateQKV,
    Window,
    attend,
)
from zoo.errors import ZooError

B, H, T, S, D = 2, 3, 5, 9, 4
LENGTHS = torch.tensor([S, 6])


def tensors(dim=D, heads=H) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(B, heads, n, dim, generator=g, dtype=torch.float64, requires_grad=True) for n in (T, S, S)]


def loops(q, k, v, part: LocalP, left: bool):
    """Equations 7 to 10, a sentence, a head and a step at a time."""
    out = torch.zeros_like(q)
    for b in range(B):
        n = int(LENGTHS[b])
        of = slice(S - n, S) if left else slice(0, n)
        for h in range(H):
            keys, values = k[b, h, of], v[b, h, of]
            for t in range(T):
                centre = n * torch.sigmoid(part.out.weight @ torch.tanh(part.place.weight @ q[b, h, t]))
                near = [j for j in range(n) if abs(j - centre) <= part.window]
                logits = torch.stack([part.score.pairs(q[b, h, t], keys[j]) for j in near])
                weights = logits.exp() / logits.exp().sum()
                bell = torch.stack([torch.exp(-((j - centre) ** 2) / (2 * (part.window / 2) ** 2)) for j in near])
                out[b, h, t] = (weights * bell.flatten()) @ values[near]
    return out


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("window", [1, 2.5, 100])
@pytest.mark.parametrize("score", [General, Dot()])
def test_local_p_is_the_papers(score, window, left):
    torch.manual_seed(0)
    part, (q, k, v) = LocalP(D, score, window=window).double(), tensors()
    there = torch.arange(S) >= S - LENGTHS[:, None] if left else torch.arange(S) < LENGTHS[:, None]
    out = attend(q, k, v, score=part, pattern=Padding(mask=there), cross=True).out
    want = loops(q, k, v, part, left)
    torch.testing.assert_close(out, want, rtol=1e-10, atol=1e-12)
    of = (q, k, v, *part.parameters())
    for a, b in zip(torch.autograd.grad(out.sum(), of), torch.autograd.grad(want.sum(), of), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_local_p_of_a_sentence_of_its_own_length():
    """Padding moves no place (S is the sentence's own), and NaN in it goes nowhere."""
    part, (q, k, v) = LocalP(D, window=2).double(), tensors()
    with torch.no_grad():
        alone = attend(q[1:], k[1:, :, :6], v[1:, :, :6], score=part, cross=True).out
        k[1, :, 6:] = v[1, :, 6:] = math.nan
        padded = attend(q, k, v, score=part, pattern=Padding(LENGTHS), cross=True).out
    torch.testing.assert_close(padded[1:], alone, rtol=1e-12, atol=1e-12)


def test_a_window_below_1_is_refused():
    with pytest.raises(ZooError, match=r"LocalP\(window=0.5\) can leave a query without any key"):
        LocalP(D, window=0.5)
    with pytest.raises(ZooError, match=r"LocalP\(window=nan\)"):  # every weight would be NaN
        LocalP(D, window=float("nan"))


def layer(**how) -> Attention:
    torch.manual_seed(0)
    return Attention(H * D, H, projection=SeparateQKV, **how).double().eval()


@pytest.mark.parametrize("how", [{"pattern": Window(3)}, {"pattern": Window(2), "position": RoPE}, {"position": ALiBi}])
def test_queries_placed_in_a_context(how):
    """local-m is a window at t = 0, 1, ...: at once, in steps beside a cache, and past the context's end, where a row is 0."""
    g = torch.Generator().manual_seed(1)
    x, context = (torch.randn(B, n, H * D, generator=g, dtype=torch.float64) for n in (S + 4, S))
    part, places = layer(**how), torch.arange(S + 4)
    whole = part(x, context, q_pos=places)
    cache = KVCache(B, H, S, D, dtype=torch.float64)
    with torch.no_grad():
        ahead = [part(x[:, :3], context, q_pos=places[:3], cache=cache)]
        steps = [part(x[:, t : t + 1], context, q_pos=places[t : t + 1], cache=cache) for t in range(3, S + 4)]
    torch.testing.assert_close(torch.cat(ahead + steps, 1), whole, rtol=1e-10, atol=1e-12)
    shifted = part(x[:, :S], context, q_pos=places[:S].expand(B, -1))  # as many queries as keys: the default's places
    torch.testing.assert_close(shifted, part(x[:, :S], context), rtol=1e-10, atol=1e-12)
    if "pattern" in how:
        beyond = how["pattern"].size - 1 + S
        torch.testing.assert_close(whole[:, beyond:], part.output.proj.bias.expand_as(whole[:, beyond:]))


def test_q_pos_is_for_a_context():
    with pytest.raises(ZooError, match="q_pos says where queries stand in a context"):
        layer()(torch.randn(B, T, H * D).double(), q_pos=torch.arange(T))


def test_identity_leaves_tokens_as_they_are():
    part = Attention(D, 1, projection=IdentityQKV, score=Dot(), output=torch.nn.Flatten(1, 1)).double()
    x, context = torch.randn(B, T, D).double(), torch.randn(B, S, D).double()
    weights = (x @ context.mT).softmax(-1)
    torch.testing.assert_close(part(x, context).view(B, T, D), weights @ context)
    with pytest.raises(ZooError, match="dim=12 must be num_heads"):
        Attention(12, 3, head_dim=5, projection=IdentityQKV)
