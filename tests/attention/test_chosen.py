"""ProbSparse and LSH: their definitions written down with loops, and what they promise of draws, neighbours and the future."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.attention.examples import B, D, H, N, tensors
from zoo.attention import (
    LSH,
    Attention,
    AttentionCall,
    Causal,
    Documents,
    Full,
    Global,
    Padding,
    ProbSparse,
    SeparateQKV,
    Window,
    attend,
    record_attention,
)  # fmt: skip
from zoo.errors import ZooError

RANDOM = [ProbSparse(1), LSH(2, 3)]


def u(n, factor=1):
    return min(n, factor * math.ceil(math.log(n + 1)))


def one(K=N, training=False):
    """A call for what a pattern draws; one head of width D, K keys."""
    x = torch.randn(1, 1, K, D)
    return AttentionCall(x, x, x, pattern=ProbSparse(1), training=training)


def weights_of(q, k, v, pattern, **how):
    return attend(q, k, v, pattern=pattern, need_weights=True, kernel="reference", **how).weights


# ---------------------------------------------------------------------------------------------------------- ProbSparse


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


# ----------------------------------------------------------------------------------------------------------------- LSH


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


# ------------------------------------------------------------------------------------------------- what both promise


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_in_evaluation_the_draw_is_a_function_of_the_seed(pattern):
    """Bug 5: twice the same, whatever the global generator, which is not touched; another seed, another choice."""
    q, k, v = (x.detach() for x in tensors(60, 60))
    outs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        outs.append(attend(q, k, v, pattern=pattern).out)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*outs)
    assert not torch.equal(outs[0], attend(q, k, v, pattern=type(pattern)(1, 3, seed=7) if isinstance(pattern, LSH)
                                           else ProbSparse(1, seed=7)).out)  # fmt: skip


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_in_training_the_draw_is_fresh_and_follows_the_generator(pattern):
    q, k, v = (x.detach() for x in tensors(60, 60))
    run = partial(attend, q, k, v, pattern=pattern, training=True)
    torch.manual_seed(3)
    first, second = run().out, run().out
    torch.manual_seed(3)
    assert torch.equal(first, run().out) and not torch.equal(first, second)


@pytest.mark.parametrize("rest", [Full(), Causal(), Padding(torch.tensor([30, 60]))], ids=str)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_batch_independence(pattern, training, rest):
    """E2: the draw is the same for all samples; a sample's rows do not move with its neighbour, nor alone."""
    q, k, v = (x.detach() for x in tensors(60, 60))
    if isinstance(rest, Padding):
        alone = [x[1:] for x in (q, k, v)]
        rest_alone = Padding(rest.lengths[1:])
    else:
        alone, rest_alone = [x[1:] for x in (q, k, v)], rest
    torch.manual_seed(0)
    out = attend(q, k, v, pattern=pattern & rest, training=training).out
    torch.manual_seed(0)
    moved = attend(
        *(torch.cat([x[:1] * 3 + 1, x[1:]]) for x in (q, k, v)), pattern=pattern & rest, training=training
    ).out
    torch.manual_seed(0)
    single = attend(*alone, pattern=pattern & rest_alone, training=training).out
    torch.testing.assert_close(out[1], moved[1])
    torch.testing.assert_close(out[1:], single)


def test_padding_invariance_of_probsparse():
    """C5: of a padded sample the rows are those of the sample alone, at whatever side it is padded, NaN in the padding."""
    q, k, v = (x.detach() for x in tensors(20, 20, kv=H, batch=1))
    alone = attend(q, k, v, pattern=ProbSparse(1)).out
    junk = torch.full_like(q[:, :, :7], 9.0)
    for left in (True, False):
        parts = [torch.cat([junk, x] if left else [x, junk], 2) for x in (q, k, v)]
        mask = torch.cat([torch.zeros(7), torch.ones(20)] if left else [torch.ones(20), torch.zeros(7)]).bool()[None]
        out = attend(*parts, pattern=ProbSparse(1) & Padding(mask)).out[:, :, mask[0]]
        torch.testing.assert_close(out, alone)


def test_packed_documents_do_not_compete():
    """Two documents in a row are answered as each alone: u(n) of each."""
    q, k, v = (x.detach() for x in tensors(24, 24, kv=H, batch=1))
    ids = torch.tensor([0] * 10 + [1] * 14)
    for rest in (Full(), Causal()):
        out = attend(q, k, v, pattern=ProbSparse(1) & Documents(ids) & rest).out
        for part in (slice(0, 10), slice(10, 24)):
            alone = attend(*(x[:, :, part] for x in (q, k, v)), pattern=ProbSparse(1) & rest).out
            torch.testing.assert_close(out[:, :, part], alone)


@pytest.mark.parametrize("rest", [Causal(), Causal() & Window(9)], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_the_future_decides_nothing(pattern, rest):
    """Bug 9, E5: tokens from t on are replaced by others, large and small; what stands before t stays to the last bit."""
    q, k, v = (x.detach() for x in tensors(50, 50))
    out = attend(q, k, v, pattern=pattern & rest).out
    for t in (1, 20, 49):
        for size in (0.0, 30.0):
            moved = [torch.cat([x[:, :, :t], torch.randn_like(x[:, :, t:]) * size], 2) for x in (q, k, v)]
            assert torch.equal(attend(*moved, pattern=pattern & rest).out[:, :, :t], out[:, :, :t])


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 1, 9), (1, H, 9), (3, 1, 9), (3, H, 1), (2, 1, 2)])
@pytest.mark.parametrize("rest", [Full(), Causal()], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_axes_of_length_one(pattern, rest, sizes):
    """Bug 11, E12: batch, heads, length of 1."""
    batch, heads, n = sizes
    q, k, v = tensors(n, n, heads, 1, batch)
    out = attend(q, k, v, pattern=pattern & rest).out
    assert out.shape == (batch, heads, n, D)
    out.sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("kernel", [None, "reference"])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_dropout_is_applied(pattern, kernel):
    """Bug 7: two passes of one draw differ by the dropout alone; their mean is the output without."""
    q, k, v = (x.detach().float() for x in tensors(20, 20, 2, 1, 1))
    run = partial(attend, q, k, v, pattern=pattern, kernel=kernel)
    outs = torch.stack([run(dropout=0.3).out for _ in range(600)])
    assert (outs != outs[0]).any(0).all(), "of full and of lazy queries"
    torch.testing.assert_close(outs.mean(0), run().out, rtol=0, atol=0.2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_half_precision(pattern, dtype):
    q, k, v = (x.detach().to(dtype) for x in tensors(50, 50))
    for rest in (Full(), Causal()):
        out = attend(q * 20, k * 20, v, pattern=pattern & rest).out
        assert out.dtype == dtype and out.isfinite().all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rest", [None, Causal()], ids=str)
@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_recorded_weights_are_those_of_the_output(pattern, rest, training):
    """The draw belongs to the call: what is recorded is what was computed, in training and where a module runs twice."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = Attention(16, 2, pattern=pattern, output=nn.Identity())

        def forward(self, x):
            return [self.attn(x, pattern=rest) for _ in range(2)]

    model, x = Twice().train(training), torch.randn(3, 40, 16)
    torch.manual_seed(0)
    plain = model(x)
    torch.manual_seed(0)
    with record_attention(model) as maps:
        outs = model(x)
    v = model.attn.projection(x)[2]
    assert len(maps["attn"]) == 2
    for weights, out, before in zip(maps["attn"], outs, plain, strict=True):
        torch.testing.assert_close(weights @ v, out, rtol=1e-4, atol=1e-5)
        assert torch.equal(out, before), "recording draws nothing"
    assert torch.equal(*outs) is not training


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_no_global_tokens_change_nothing(pattern):
    assert (pattern | Global(0)) is pattern and (pattern & Full()) is pattern


@pytest.mark.parametrize("pattern", RANDOM, ids=str)
def test_joined_to_global_tokens(pattern):
    """The first token sees all in full and is seen by all, with its own logit; rows sum to 1."""
    q, k, v = (x.detach() for x in tensors(30, 30))
    both = attend(q, k, v, pattern=pattern | Global(1), need_weights=True, need_logits=True, kernel="reference")
    plain = attend(q, k, v, need_weights=True, need_logits=True, kernel="reference")
    torch.testing.assert_close(both.weights[:, :, 0], plain.weights[:, :, 0])
    torch.testing.assert_close(both.logits[..., 0], plain.logits[..., 0])
    torch.testing.assert_close(both.weights.sum(-1), torch.ones(B, H, 30).double())


@pytest.mark.parametrize("make, words", [
    (lambda: ProbSparse(0), r"ProbSparse\(factor\) is a whole number, at least 1; got 0"),
    (lambda: ProbSparse(1.5), r"ProbSparse\(factor\) is a whole number"),
    (lambda: ProbSparse(lazy="median"), r'"mean" or "sum"; got \'median\''),
    (lambda: LSH(0), r"LSH\(rounds\)"),
    (lambda: LSH(bucket=0), r"LSH\(bucket\)"),
    (lambda: LSH(seed="a"), r"LSH\(seed\)"),
])  # fmt: skip
def test_errors_are_sentences(make, words):
    with pytest.raises(ZooError, match=words):
        make()
