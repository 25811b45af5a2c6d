"""A part around another one passes on what that can do, and claims no more."""

import pytest
import torch

from tests.attention.examples import POSITIONS, SCORES, D, N, facts, make, tensors
from zoo.attention import (
    KERNELS,
    AttentionCall,
    Edges,
    Full,
    Global,
    PositionWrapper,
    Prefix,
    ScaledDot,
    Score,
    ScoreWrapper,
    SkipPrefix,
    Window,
    attend,
)


class Halved(ScoreWrapper):
    """Twice the temperature: the pairs and one form."""

    def pairs(self, q, k, edge=None):
        return self.score.pairs(q, k, edge) / 2

    def as_dot(self, q, k):
        q, k, scale = self.score.as_dot(q, k)
        return q, k, scale / 2


class Sharpened(ScoreWrapper):
    """No softmax."""

    def normalize(self, logits, call):
        weights = self.score.normalize(logits, call) ** 2
        return weights / weights.sum(-1, keepdim=True).clamp_min(1e-30)


@pytest.mark.parametrize("kind", SCORES)
def test_a_plain_wrapper_is_the_score(kind):
    """The same numbers, and each kernel says the same of both."""
    score, q_k_v = make(kind).double(), tensors()
    wrapped = ScoreWrapper(score)
    assert wrapped.forms == score.forms and wrapped.is_softmax == score.is_softmax
    for pattern in (Full(), Window(3)):
        for kernel in KERNELS:
            calls = [AttentionCall(*q_k_v, score=each, pattern=pattern) for each in (score, wrapped)]
            mine, its = (bool(kernel.why_not(call)) for call in calls)
            assert mine == its, kernel.name
            if not mine:
                got, want = (kernel.run(call).out for call in calls)
                assert torch.equal(got, want)


@pytest.mark.parametrize("kind", SCORES)
def test_other_logits_keep_no_form_but_their_own(kind):
    """Were the forms of the inner score passed on, fused kernels would compute other logits than the reference."""
    score, (q, k, v) = make(kind).double(), tensors()
    wrapped = Halved(score)
    assert wrapped.forms == {"dot"}
    if "dot" not in score.forms or not score.is_softmax:
        return
    got, want = (attend(q, k, v, score=wrapped, kernel=kernel).out for kernel in ("sdpa", "reference"))
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        want, attend(q / 2, k, v, score=score, kernel="reference").out if kind is ScaledDot else want
    )


def test_another_normalisation_is_no_softmax():
    score, q_k_v = Sharpened(ScaledDot()), tensors()
    assert not score.is_softmax and not score.normalizes_edges and score.forms == {"dot"}
    call = AttentionCall(*q_k_v, score=score)
    assert [kernel.name for kernel in KERNELS if not kernel.why_not(call)] == ["reference"]
    edges = AttentionCall(*q_k_v, score=score, pattern=Edges(torch.randint(N, (2, 9)), N))
    assert [kernel.name for kernel in KERNELS if not kernel.why_not(edges)] == ["reference"]


def test_a_score_with_segments_of_its_own_is_no_softmax():
    class Sigmoid(Score):
        def pairs(self, q, k, edge=None):
            return (q * k).sum(-1)

        def normalize(self, logits, call):
            return logits.sigmoid()

        def normalize_segments(self, logits, ptr, run):
            return logits.sigmoid()

    for score in (Sigmoid(), ScoreWrapper(Sigmoid())):
        assert score.normalizes_edges and not score.is_softmax and score.forms == frozenset()


@pytest.mark.parametrize("kind", POSITIONS)
def test_positions_within_positions(kind):
    """What acts is what acts inside; a prefix without places takes the tokens out."""
    inner, pos = make(kind), torch.arange(N)
    outer = PositionWrapper(inner)
    assert outer.acts_on == inner.acts_on and outer.acts_inside == inner.acts_inside and outer.prefix == inner.prefix
    x, heads = torch.randn(2, N, facts()["dim"]), torch.randn(2, 4, N, D)
    assert torch.equal(outer.embed(x, pos), inner.embed(x, pos))
    assert torch.equal(outer.rotate(heads, pos), inner.rotate(heads, pos))
    assert ("logits" in inner.acts_on) == (outer.bias(pos, pos) is not None)
    assert SkipPrefix(outer, 1).acts_on == inner.acts_on - {"tokens"} and SkipPrefix(outer, 1).prefix == 0


@pytest.mark.parametrize("nothing", [Global(0), Prefix(0)])
def test_joined_to_nothing_a_pattern_is_itself(nothing):
    window = Window(3)
    assert (window | nothing) is window and (nothing | window) is window
    assert isinstance(nothing | Full(), Full) and (nothing | nothing).sees_nothing
    assert (attend(*tensors(), pattern=nothing).out == 0).all()
