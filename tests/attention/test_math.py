"""The mathematics the core stands on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attention.examples import PATTERNS, SCORES, B, D, H, N, make, tensors
from zoo.attention import Attention, AttentionCall, Causal, Dot, General, ScaledDot, attend


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", SCORES)
def test_weights_are_a_distribution_over_allowed_keys(kind, pattern):
    score = make(kind).double()
    how = dict(score=score, pattern=PATTERNS[pattern](), need_weights=True, need_logits=True)
    _, weights, logits = attend(*tensors(), **how)
    assert (weights >= 0).all() and (weights[logits == -torch.inf] == 0).all()
    if score.is_distribution:
        sums, empty = weights.sum(-1), (logits == -torch.inf).all(-1)
        torch.testing.assert_close(sums, (~empty).double())


@given(st.integers(0, 2**31), st.floats(0.1, 20))
@settings(max_examples=30, deadline=None)
def test_output_lies_in_the_convex_hull_of_the_values(seed, size):
    q, k, v = tensors(seed=seed, kv=H)
    out = attend(q * size, k, v).out
    assert (out <= v.amax(2, keepdim=True) + 1e-9).all() and (out >= v.amin(2, keepdim=True) - 1e-9).all()
    assert (out.norm(dim=-1) <= v.norm(dim=-1).amax(-1, keepdim=True) + 1e-9).all()


@pytest.mark.parametrize("d", [4, 64, 1024])
def test_variance_of_scores(d):
    """Vaswani et al. 2017, footnote 4: a raw score of unit-variance vectors has variance d, a scaled one 1."""
    q, k = torch.randn(2, 1, 1, 600, d, dtype=torch.float64)
    raw, scaled = (score.dense(q, k).var().item() for score in (Dot(), ScaledDot()))
    assert raw == pytest.approx(d, rel=0.1) and scaled == pytest.approx(1, rel=0.1)


def test_low_temperature_is_a_table_lookup():
    """As T -> 0 the weights become the one-hot row of the best key, and the output is its value."""
    q, k, v = tensors(kv=H)
    best = Dot().dense(q, k).argmax(-1)
    cold = attend(q, k, v, score=ScaledDot(temperature=1e-6), need_weights=True)
    torch.testing.assert_close(cold.weights, torch.nn.functional.one_hot(best, N).double())
    torch.testing.assert_close(cold.out, v.gather(2, best[..., None].expand(-1, -1, -1, D)))
    hot = attend(q, k, v, score=ScaledDot(temperature=1e9), need_weights=True).weights
    torch.testing.assert_close(hot, torch.full_like(hot, 1 / N), rtol=1e-6, atol=0)


def test_asymmetry():
    """How i attends to j says nothing of how j attends to i."""
    layer, x = Attention(H * D, H).double(), torch.randn(B, N, H * D, dtype=torch.float64)
    q, k, v = layer.projection(x)
    weights = attend(q, k, v, need_weights=True).weights
    assert not torch.allclose(weights, weights.mT)
    same = attend(q, q, v, need_weights=True, need_logits=True)
    torch.testing.assert_close(same.logits, same.logits.mT)  # equal projections: symmetric logits, and still
    assert not torch.allclose(same.weights, same.weights.mT)  # the rows are normalised each by its own sum


@pytest.mark.parametrize("kind", [kind for kind in SCORES if not kind.uses_places])
def test_permutation_equivariance_without_positions(kind):
    """f(Px) = P f(x): without positions and patterns, attention does not know the order."""
    layer = Attention(H * D, H, score=kind).double()
    x, order = torch.randn(B, N, H * D, dtype=torch.float64), torch.randperm(N)
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])
    causal = Attention(H * D, H, pattern=Causal()).double()
    assert not torch.allclose(causal(x[:, order]), causal(x)[:, order])


def test_general_starts_as_the_scaled_dot_product():
    q, k, v = tensors()
    torch.testing.assert_close(attend(q, k, v, score=General(D).double()).out, attend(q, k, v).out)


def test_general_reads_what_was_saved_when_the_root_was_its_own():
    q, k, W = torch.randn(3, D, D, dtype=torch.float64)
    part = General(D).double()
    part.load_state_dict({"weight": W})
    torch.testing.assert_close(part.dense(q, k), q @ W @ k.mT)
    assert list(part.state_dict()) == ["map"]


def test_softmax_gradient_is_bounded():
    """Bug 38: each entry of the softmax's Jacobian is at most 1/4, however large the scores."""
    call = AttentionCall(*tensors())
    for size in (0.1, 1.0, 30.0):
        x = torch.randn(N, dtype=torch.float64) * size
        jacobian = torch.autograd.functional.jacobian(
            lambda y: ScaledDot().normalize(y[None, None, None], call)[0, 0, 0], x
        )
        assert jacobian.abs().max() <= 0.25 + 1e-12


@pytest.mark.parametrize("kind", SCORES)
def test_gradcheck(kind):
    """Analytic gradients against finite differences, float64."""
    score = make(kind).double()
    q, k, v = (x.detach()[:1, :, :3].requires_grad_() for x in tensors(kv=H))

    def run(q, k, v):
        return attend(q, k, v, score=score, pattern=Causal(), kernel="reference").out

    assert torch.autograd.gradcheck(run, (q, k, v))
