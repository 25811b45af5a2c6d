"""ProbSparse: its definition written down with loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from tests.attention.examples import B, D, H, N, tensors
from zoo.attention import (
    Attention,
    AttentionCall,
    Causal,
    Full,
    Global,
    Padding,
    ProbSparse,
    SeparateQKV,
    Window,
    attend,
    explain,
)  # fmt: skip
from zoo.errors import ZooError


def u(n, factor=1):
    return min(n, factor * math.ceil(math.log(n + 1)))


def one(K=N, training=False):
    """A call for what a pattern draws; one head of width D, K keys."""
    x = torch.randn(1, 1, K, D)
    return AttentionCall(x, x, x, pattern=ProbSparse(1), training=training)


def weights_of(q, k, v, pattern, **how):
    return attend(q, k, v, pattern=pattern, need_weights=True, kernel="reference", **how).weights


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 50, 1000])
@pytest.mark.parametrize("factor", [1, 5])
def test_u_of_n(n, factor):
    """u(n) = min(n, factor ceil(ln(n + 1))), one number or a tensor of them."""
    pattern = ProbSparse(factor)
    assert pattern.count(n) == u(n, factor) == pattern.counts(torch.tensor([n])).item()


@pytest.mark.parametrize("n", [1, 2, 7, 20, 333])
@pytest.mark.parametrize("training", [False, True])
def test_the_sample(n, training):
    """u(n) keys, none twice (bug 10), all of them where u(n) = n; the mask says the same; every key has its turn."""
    pattern, seen = ProbSparse(1), torch.zeros(n)
    for seed in range(200):
        pattern, call = ProbSparse(1, seed), one(n, training)
        sample = pattern.sample(n, call)
        assert len(sample) == len(set(sample.tolist())) == u(n) and sample.min() >= 0 and sample.max() < n
        mask = pattern.sampled(torch.arange(n), torch.tensor(n), call)
        assert sorted(sample.tolist()) == mask.nonzero()[:, 0].tolist()
        seen += mask
    assert (seen - 200 * u(n) / n).abs().max() < 6 * math.sqrt(200 * u(n) / n) + 1


def loops(q, k, v, pattern, mask, cross=False):
    """ProbSparse by hand on [N, D] tensors: every query, its keys, its rivals. mask: [Q, K] booleans."""
    (Q, D), K = q.shape, k.shape[0]
    logits, call = q @ k.T / math.sqrt(D), one(K)
    measure = []
    for i in range(Q):
        keys = [j for j in range(K) if mask[i, j]]
        drawn = [logits[i, keys[r]] for r in pattern.sample(len(keys), call).tolist()]
        measure.append(max(drawn) - sum(drawn) / len(drawn) if drawn else torch.tensor(-torch.inf))  # bug 6
    out = torch.zeros(Q, v.shape[1], dtype=q.dtype)
    for i in range(Q):
        keys = [j for j in range(K) if mask[i, j]]
        rivals = range(Q) if cross else [r for r in range(Q) if mask[i, r + K - Q]]
        if not keys:
            continue
        better = [r for r in rivals if (-measure[r], r) < (-measure[i], i)]
        if i in rivals and len(better) < pattern.count(len(rivals)):
            out[i] = logits[i, keys].softmax(0) @ v[keys]
        else:
            out[i] = v[keys].mean(0)
    return out


@given(
    st.integers(1, 14), st.integers(0, 5), st.integers(0, 1000), st.sampled_from(["full", "causal", "window", "padded"])
)
@settings(max_examples=60, deadline=None)
def test_probsparse_equals_loops(K, fewer, seed, kind):
    """Sampling, M, the choice and the mean, with one query or all, under every kind of mask (bugs 6, 8, 9)."""
    Q = max(1, K - fewer)
    q, k, v = (x.detach()[0, 0] for x in tensors(Q, K, 1, 1, 1, seed=seed))
    pattern, place, key = ProbSparse(1, seed), torch.arange(K - Q, K)[:, None], torch.arange(K)[None]
    rest, mask = {
        "full": (Full(), (key >= 0).expand(Q, K)),
        "causal": (Causal(), key <= place),
        "window": (Causal() & Window(4), (key <= place) & (key > place - 4)),
        "padded": (Padding(torch.tensor([(K + 1) // 2])), (key < (K + 1) // 2).expand(Q, K)),
    }[kind]
    want = loops(q, k, v, pattern, mask)
    got = attend(q[None, None], k[None, None], v[None, None], pattern=rest & pattern).out[0, 0]
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [(5, 9), (9, 5), (7, 7), (1, 6), (6, 1)])
def test_queries_of_another_sequence(sizes):
    """Cross-attention, more queries than keys too: all queries are compared with all."""
    (Q, K), layer = sizes, Attention(D, 1, pattern=ProbSparse(1), projection=SeparateQKV, output=nn.Identity()).double()
    x, context = torch.randn(1, Q, D, dtype=torch.float64), torch.randn(1, K, D, dtype=torch.float64)
    q, k, v = (y.detach()[0, 0] for y in layer.projection(x, context))
    want = loops(q, k, v, ProbSparse(1), torch.ones(Q, K, dtype=torch.bool), cross=True)
    torch.testing.assert_close(layer.eval()(x, context)[0].detach().view(Q, D), want)
    for rest in (Full(), Padding(torch.tensor([K]))):
        out = attend(*(y[None, None] for y in (q, k, v)), pattern=ProbSparse(1) & rest, cross=True).out
        torch.testing.assert_close(out[0, 0], want)


def test_lazy_queries_see_all_that_they_may_alike():
    """Rows sum to 1 in every case; a lazy row is uniform; u(n) rows are not."""
    q, k, v = (x.detach() for x in tensors(40, 40))
    weights = weights_of(q, k, v, ProbSparse(1))
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, 40).double())
    full = (weights - 1 / 40).abs().amax(-1) > 1e-12
    assert (full.sum(-1) == u(40)).all()
    weights = weights_of(q, k, v, ProbSparse(1) & Causal())
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, 40).double())
    assert (weights.triu(1) == 0).all()


@pytest.mark.parametrize("length", [8, 64, 512])
def test_length_invariance(length):
    """Bug 8: lazy queries of a causal call are answered by a running mean; constant values come back whatever the length."""
    q, k, _ = (x.detach() for x in tensors(length, length, 1, 1, 1))
    for pattern in (ProbSparse(1), ProbSparse(1) & Causal()):
        torch.testing.assert_close(attend(q, k, torch.ones_like(k), pattern=pattern).out, torch.ones_like(q))


def test_the_references_sums():
    """`lazy="sum"`: a lazy query gives the sum of the values it may see (Informer's cumulated sums); full ones are the same."""
    q, k, v = (x.detach() for x in tensors(20, 20, kv=H))
    for rest in (Full(), Causal(), Causal() & Padding(torch.tensor([20, 9]))):
        mean, total = (
            attend(q, k, v, pattern=rest & ProbSparse(1, lazy=x), need_weights=True) for x in ("mean", "sum")
        )
        lazy = (total.weights.sum(-1) - 1).abs() > 1e-9
        many = (mean.weights > 0).sum(-1).double()
        factor = torch.where(lazy, many, 1.0)
        torch.testing.assert_close(total.weights.sum(-1), factor)
        torch.testing.assert_close(total.out, mean.out * factor.unsqueeze(-1))
        assert lazy.any() and not lazy.all()
    with pytest.raises(ZooError, match=r'ProbSparse\(lazy="mean"\)'):
        ProbSparse(lazy="sum") | Global(1)
    assert ProbSparse(lazy="sum") | Global(0) == ProbSparse(lazy="sum")


def test_a_factor_at_which_every_query_is_answered_is_full_attention():
    q, k, v = tensors()
    for rest in (Full(), Causal()):
        got, want = (attend(q, k, v, pattern=p & rest).out for p in (ProbSparse(N), Full()))
        torch.testing.assert_close(got, want)


def test_equal_queries_are_told_apart_by_their_place():
    """All tokens alike, as in a constant series: still u(n) of them, the first."""
    q, k, v = (torch.zeros_like(x) for x in tensors(9, 9))
    logits = attend(q, k, v, pattern=ProbSparse(1), kernel="reference", need_logits=True).logits
    call = AttentionCall(q, k, v, pattern=ProbSparse(1))
    assert ProbSparse(1).answered(logits, call)[0, 0].tolist() == [True] * u(9) + [False] * (9 - u(9))


# -------------------------------------------------------------------------------------------------------------- kernel


@pytest.mark.parametrize("lazy", ["mean", "sum"])
@pytest.mark.parametrize("heads, kv", [(4, 4), (4, 2), (1, 1)])
@pytest.mark.parametrize("rest", [Full(), Causal(), Padding(torch.tensor([90, 150]))], ids=str)
def test_the_kernel_at_length(rest, heads, kv, lazy):
    """Where most queries are lazy: outputs and gradients of the oracle, in training with one draw."""
    q_k_v = tensors(150, 150, heads, kv)
    weight = torch.randn(B, heads, 150, D, dtype=torch.float64)
    for training in (False, True):
        outs = []
        for kernel in ("probsparse", "reference"):
            torch.manual_seed(0)
            outs.append(attend(*q_k_v, pattern=ProbSparse(2, lazy=lazy) & rest, kernel=kernel, training=training).out)
        torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)
        for a, b in zip(*(torch.autograd.grad((out * weight).sum(), q_k_v) for out in outs), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("Q, K", [(200, 90), (90, 200)])
def test_the_kernel_on_a_context(Q, K):
    layer = Attention(D, 2, pattern=ProbSparse(2), projection=SeparateQKV).double().eval()
    x, context = torch.randn(B, Q, D, dtype=torch.float64), torch.randn(B, K, D, dtype=torch.float64)
    for pattern in (None, Padding(torch.tensor([K, 50]))):
        outs = []
        for layer.kernel in ("probsparse", "reference"):
            outs.append(layer(x, context, pattern=pattern))
        torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)


def test_what_the_kernel_refuses():
    q, k, v = tensors(20, 20)

    def said(**how):
        return dict(explain(q, k, v, **how).lines)["probsparse"]

    assert said(pattern=ProbSparse()) == said(pattern=ProbSparse() & Causal()) == "runs"
    assert "alone or with Causal()" in said(pattern=ProbSparse() & Window(3))
    assert "alone or with Causal()" in said(pattern=ProbSparse() | Global(1)) and "alone" in said(pattern=Causal())
    assert "none is padding" in said(pattern=ProbSparse() & Causal() & Padding(torch.tensor([3, 20])))
    assert "bias" in said(pattern=ProbSparse(), bias=torch.zeros(20, 20))
    assert "neither weights" in said(pattern=ProbSparse(), need_weights=True)
    assert explain(q, k, v, pattern=ProbSparse()).chosen == "probsparse"
    assert explain(q, k, v, pattern=ProbSparse() & Window(3)).chosen == "reference"


class Count(TorchDispatchMode):
    """How many numbers the operations of a block write."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.numbers += sum(x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor))
        return out


@pytest.mark.parametrize("rest, most", [(Full(), 1.25), (Causal(), 1.4)], ids=str)
def test_operations_grow_as_n_log_n(rest, most):
    """Bug 10: products and numbers written, forward and backward on [1, 8, N, 32], 1k to 16k (a quarter of the heads)."""
    lengths, counts = [1024, 4096] if isinstance(rest, Causal) else [1024, 4096, 16384], []
    for n in lengths:
        q, k, v = (torch.randn(1, 2, n, 32, requires_grad=True) for _ in range(3))
        with FlopCounterMode(display=False) as products, Count() as written:
            attend(q, k, v, pattern=ProbSparse() & rest, training=True, dropout=0.1).out.sum().backward()
        counts.append((products.get_total_flops(), written.numbers))
    for first, last in zip(counts[0], counts[-1], strict=True):
        assert math.log(last / first) / math.log(lengths[-1] / lengths[0]) <= most
