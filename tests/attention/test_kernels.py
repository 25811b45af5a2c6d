"""Contract 1: every kernel gives the reference's output and gradients, or says why not. Contracts 2 and 3 on the way."""

import itertools

import pytest
import torch

from tests.attention.examples import MASKS, PATTERNS, SCORES, B, D, H, N, make, naive, tensors
from zoo.attention import KERNELS, AttentionCall, Causal, Dot, Full, LinearFeatures, Padding, ScaledDot, Window, attend
from zoo.attention.scores import elu_features
from zoo.errors import ZooError

NAMES = [
    kernel.name for kernel in KERNELS if not kernel.name.startswith("edge_")
]  # of masks: test_edges.py has the lists


def grads(out, inputs):
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True)


def run_or_reasons(kernel, *qkv, **how):
    """The kernel's output, or None if it says why not (and then `attend` must raise with that reason)."""
    call = AttentionCall(*qkv, **how)
    each = next(k for k in KERNELS if k.name == kernel)
    if reasons := each.why_not(call):
        with pytest.raises(ZooError) as error:
            attend(*qkv, **how, kernel=kernel)
        assert all(reason in str(error.value) for reason in reasons)
        return None
    return attend(*qkv, **how, kernel=kernel).out


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", SCORES)
def test_reference_equals_loops(kind, pattern):
    """The oracle against loops over single pairs, with grouped heads (query head h reads group h // groups)."""
    score, q_k_v = make(kind).double(), tensors()
    out, weights = naive(*q_k_v, score, PATTERNS[pattern]())
    got = attend(*q_k_v, score=score, pattern=PATTERNS[pattern](), kernel="reference", need_weights=True)
    torch.testing.assert_close(got.out, out, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.weights, weights, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("kernel", [name for name in NAMES if name != "reference"])
def test_kernel_equals_reference(kernel, kind, pattern):
    for (q_len, k_len), (heads, kv) in itertools.product([(N, N), (3, N), (1, N)], [(4, 4), (4, 2), (4, 1), (1, 1)]):
        score, q_k_v = make(kind, heads=heads).double(), tensors(q_len, k_len, heads, kv)
        how = dict(score=score, pattern=PATTERNS[pattern]())
        out = run_or_reasons(kernel, *q_k_v, **how)
        if out is None:
            return
        expected = attend(*q_k_v, **how, kernel="reference").out
        inputs = [*q_k_v, *score.parameters()]
        torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
        for got, want in zip(grads(out, inputs), grads(expected, inputs), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (B, H, 1, 1), (1, 1, N, N), (B, 1, N, N), (1, H, 1, N)])
def test_axes_of_length_one_stay(kernel, shape):
    """Contract 2, bug 11: no axis of size 1 is lost."""
    b, h, q_len, k_len = shape
    q_k_v = tensors(q_len, k_len, h, h, b)
    for pattern in (Full(), Causal(), Window(2)):
        out = run_or_reasons(kernel, *q_k_v, score=ScaledDot(), pattern=pattern)
        assert out is None or out.shape == (b, h, q_len, D)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("kind", SCORES)
def test_batch_independence(kernel, kind):
    """Contract 2: a sample's row does not change when its neighbour does."""
    score, (q, k, v) = make(kind).double(), tensors()
    out = run_or_reasons(kernel, q, k, v, score=score, pattern=Causal())
    if out is None:
        return
    changed = [torch.cat([x[:1], x[1:] * 3 + 1]).detach() for x in (q, k, v)]
    torch.testing.assert_close(attend(*changed, score=score, pattern=Causal(), kernel=kernel).out[0], out[0])


@pytest.mark.parametrize("bias", ["dense", "row", "-inf"])
@pytest.mark.parametrize("pattern", ["Full", "Causal", "Padding", "Window | Global"])
def test_bias_on_the_fused_path(pattern, bias):
    """C13: a bias gives the eager numbers on SDPA, gradients to the bias included; -inf forbids."""
    q_k_v = tensors()
    given = torch.randn(B, H, N, N, dtype=torch.float64)
    if bias == "row":
        given = torch.randn(H, 1, N, dtype=torch.float64)
    if bias == "-inf":
        given[:, :, 2] = -torch.inf  # a whole row
        given[:, :, :, 4] = -torch.inf  # a key that nobody sees
    given.requires_grad_()
    how = dict(pattern=PATTERNS[pattern](), bias=given)
    got, want = (attend(*q_k_v, **how, kernel=name).out for name in ("sdpa", "reference"))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(want, naive(*q_k_v, ScaledDot(), how["pattern"], given.expand(B, H, N, N))[0])
    for a, b in zip(grads(got, [*q_k_v, given]), grads(want, [*q_k_v, given]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_empty_row_is_zero_with_finite_gradients(kernel, kind, dtype):
    """Contract 3, C1, bug 28: a query without keys gives 0, and its gradients are finite."""
    score, q_k_v = make(kind).to(dtype), tensors(dtype=dtype)
    out = run_or_reasons(kernel, *q_k_v, score=score, pattern=Padding(torch.tensor([0, N])))
    if out is None:
        return
    assert (out[0] == 0).all() and (out[1] != 0).any()
    for grad in grads(out, [*q_k_v, *score.parameters()]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("kv", [1, 2, 4])
def test_poison_in_padding_goes_nowhere(kernel, kind, poison, kv):
    """Contract 3, C2: NaN or inf in k or v at a hidden key reaches no output and no other key's gradient."""
    score = make(kind).double()
    q, k, v = tensors(kv=kv)
    pattern = Padding(torch.tensor([N, 4]))
    clean = run_or_reasons(kernel, q, k, v, score=score, pattern=pattern)
    if clean is None:
        return
    dirty = [x.detach().clone() for x in (q, k, v)]
    for x in dirty[1:]:
        x[1, :, 4:] = poison
    dirty = [x.requires_grad_() for x in dirty]
    out = attend(*dirty, score=score, pattern=pattern, kernel=kernel).out
    torch.testing.assert_close(out, clean)
    for a, b in zip(grads(out, dirty), grads(clean, (q, k, v)), strict=True):
        torch.testing.assert_close(a, b)


def test_poison_hidden_by_bias_and_by_pattern():
    q, k, v = tensors()
    bias = torch.zeros(N, dtype=torch.float64)
    bias[3] = -torch.inf
    k, v = (x.detach().clone() for x in (k, v))
    k[:, :, 3] = v[:, :, 3] = torch.nan
    for kernel in ("reference", "sdpa"):
        assert attend(q, k, v, bias=bias, pattern=Window(4), kernel=kernel).out.isfinite().all()


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("kind", SCORES)
def test_causality_by_gradient(kernel, kind):
    """Contract 2: the gradient of output i with respect to keys and values after i is exactly 0."""
    score, (q, k, v) = make(kind).double(), tensors()
    out = run_or_reasons(kernel, q, k, v, score=score, pattern=Causal())
    if out is None:
        return
    for i in range(N - 1):
        for grad in torch.autograd.grad(out[:, :, i].sum(), (k, v), retain_graph=True):
            assert (grad[:, :, i + 1 :] == 0).all()


@pytest.mark.parametrize("kernel", NAMES)
def test_padding_invariance(kernel):
    """Contract 2, C5: a sample padded left or right gives the rows of its batch of one."""
    score = Dot()
    q, k, v = (x.detach() for x in tensors(kv=H, batch=1))
    alone = run_or_reasons(kernel, q, k, v, score=score, pattern=Full())
    if alone is None:
        return
    junk = torch.full_like(q[:, :, :3], 9.0)
    right = [torch.cat([x, junk], 2) for x in (q, k, v)]
    left = [torch.cat([junk, x], 2) for x in (q, k, v)]
    mask = torch.tensor([[False] * 3 + [True] * N])
    torch.testing.assert_close(
        attend(*right, score=score, pattern=Padding(torch.tensor([N])), kernel=kernel).out[:, :, :N], alone
    )
    torch.testing.assert_close(attend(*left, score=score, pattern=Padding(mask), kernel=kernel).out[:, :, 3:], alone)


@pytest.mark.parametrize("kernel", ["reference", "sdpa"])
def test_dropout_is_applied_as_given(kernel):
    """The caller knows whether it trains; the mean over many draws is the output without dropout (bug 7)."""
    q, k, v = (x.detach().float() for x in tensors())
    assert not torch.equal(attend(q, k, v, dropout=0.5, kernel=kernel).out, attend(q, k, v, kernel=kernel).out)
    mean = torch.stack([attend(q, k, v, dropout=0.3, kernel=kernel).out for _ in range(3000)]).mean(0)
    torch.testing.assert_close(mean, attend(q, k, v, kernel=kernel).out, rtol=0, atol=0.06)


def test_weights_are_before_dropout():
    """Bug 23: returned weights sum to 1 in training too."""
    weights = attend(*tensors(), dropout=0.5, need_weights=True).weights
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N, dtype=torch.float64))


def test_asking_for_weights_keeps_causality():
    """C3: need_weights changes nothing but the record."""
    q, k, v = tensors()
    asked = attend(q, k, v, pattern=Causal(), need_weights=True)
    torch.testing.assert_close(asked.out, attend(q, k, v, pattern=Causal()).out)
    assert (asked.weights.triu(1) == 0).all() and asked.logits is None
    assert attend(q, k, v, pattern=Causal()).weights is None


def test_logits_on_request():
    logits = attend(*tensors(), pattern=Causal(), need_logits=True).logits
    assert (logits[..., 0, 1:] == -torch.inf).all()


@pytest.mark.parametrize("kernel", ["reference", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_is_stable(kernel, dtype):
    """D5: large scores do not overflow the softmax."""
    q, k, v = (x.detach().to(dtype) for x in tensors())
    out = attend(q * 30, k * 30, v, kernel=kernel).out
    assert out.dtype == dtype and out.isfinite().all()


@pytest.mark.parametrize("pattern", [Full(), Causal()])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_linear_sums_in_float32(dtype, pattern):
    """Sums over thousands of keys leave float16's range and bfloat16's precision."""
    q, k, v = (torch.randn(1, 1, 3000, 32) for _ in range(3))
    want = attend(q, k, v, score=LinearFeatures(), pattern=pattern).out
    got = attend(*(x.to(dtype) for x in (q, k, v)), score=LinearFeatures(), pattern=pattern)
    torch.testing.assert_close(got.out.float(), want, rtol=0, atol=0.02)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("pattern", [Full(), Causal(), Padding(torch.tensor([0, 0]))])
def test_no_tokens(kernel, kind, pattern):
    """No queries: an empty output, and gradients of 0 for the keys."""
    for keys in (0, 3):
        if keys and isinstance(pattern, Padding):
            continue
        q_k_v = tensors(0, keys)
        out = run_or_reasons(kernel, *q_k_v, score=make(kind).double(), pattern=pattern)
        if out is None:
            return
        assert out.shape == (B, H, 0, D)
        assert all(grad is None or not grad.any() for grad in grads(out, q_k_v))


@pytest.mark.parametrize("features", [elu_features, torch.exp])
@pytest.mark.parametrize(
    "pattern", [Full(), Causal(), Padding(torch.tensor([0, 3])), Causal() & Padding(torch.tensor([5, 3]))]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_features_that_underflow(pattern, features, dtype):
    """A query all of whose features underflow is alike to every key it sees: the mean, on every kernel (0 on one, before).
    A key whose features underflow weighs nothing beside others."""
    q, k, v = (x.detach() for x in tensors(dtype=dtype, kv=H))
    q[:, :, ::2] = k[:, :, 1] = -2000
    (q, k, v), score = [x.requires_grad_() for x in (q, k, v)], LinearFeatures(features)
    got, want = (attend(q, k, v, score=score, pattern=pattern, kernel=name) for name in ("linear", "reference"))
    torch.testing.assert_close(got.out, want.out)
    for a, b in zip(grads(got.out, (q, k, v)), grads(want.out, (q, k, v)), strict=True):
        torch.testing.assert_close(a, b)
        assert a.isfinite().all()
    mask = AttentionCall(q, k, v, pattern=pattern).mask()
    seen = torch.ones(B, H, N, N, dtype=dtype) if mask is None else mask.expand(B, H, N, N).to(dtype)
    mean = seen / seen.sum(-1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(got.out[:, :, ::2], (mean @ v)[:, :, ::2])


@pytest.mark.filterwarnings("ignore:flex_attention called without")  # unfused on purpose: it runs on any device
@pytest.mark.parametrize("pattern", MASKS)
def test_flex_lowering(pattern, monkeypatch):
    """FlexAttention runs on CUDA, but what we hand it (mask_mod, score_mod, scale, groups) can be run unfused here."""
    from torch.nn.attention.flex_attention import flex_attention as plain

    import zoo.attention.kernels.flex as flex

    monkeypatch.setattr(flex, "flex_attention", lambda: plain)
    q, k, v = (x.detach().float() for x in tensors())
    with_bias = torch.randn(B, H, N, N)
    for q_part, bias in ((q, None), (q[:, :, 4:], None), (q, with_bias)):
        call = AttentionCall(q_part, k, v, pattern=PATTERNS[pattern](), bias=bias)
        with torch.no_grad():
            got, want = (
                flex.Flex().run(call).out,
                attend(q_part, k, v, pattern=call.pattern, bias=bias, kernel="reference").out,
            )
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("pattern", MASKS)
def test_kernels_agree_on_cuda(pattern):
    q, k, v = (torch.randn(B, heads, 256, 64, device="cuda", requires_grad=True) for heads in (4, 2, 2))
    how = dict(pattern=PATTERNS[pattern](256).to("cuda"))
    want = attend(q, k, v, **how, kernel="reference").out
    for name in ("sdpa", "flex"):
        got = attend(q, k, v, **how, kernel=name).out
        torch.testing.assert_close(got, want, rtol=2e-3, atol=2e-3)
        for a, b in zip(grads(got, (q, k, v)), grads(want, (q, k, v)), strict=True):
            torch.testing.assert_close(a, b, rtol=5e-3, atol=5e-3)
