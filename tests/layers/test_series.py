"""Layers of series: convolutions that see the past alone, distilling, calendar features, exogenous columns as tokens."""

import pytest
import torch
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.layers.calendar import StepEmbedding
from zoo.layers.conv import CausalConv
from zoo.layers.distil import Distil
from zoo.layers.exogenous import ExogenousTokens


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_convolution_sees_no_later_step():
    """Bug 14: moving a step moves itself and the two after it, and neither the step before it nor the beginning."""
    conv, x = CausalConv(2, 5), numbers(1, 10, 2)
    for t in range(10):
        other = x.clone()
        other[:, t] += 1
        moved = (conv(other) - conv(x)).abs().amax((0, 2)) > 1e-6
        assert moved.nonzero().flatten().tolist() == [s for s in range(t, t + 3) if s < 10]


def test_in_a_circle_it_is_that_of_torch():
    conv, x = CausalConv(2, 5, circular=True), numbers(1, 10, 2)
    theirs = torch.nn.Conv1d(2, 5, 3, padding=1, padding_mode="circular")
    theirs.load_state_dict(conv.state_dict())
    torch.testing.assert_close(conv(x), theirs(x.mT).mT)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
def test_distilling_halves_and_keeps_the_newest(length):
    """Zhou et al. 2021, equation 5; bug 18 is of another layer, and has the same cure: what is cut is cut at the old end."""
    layer, x = Distil(4).eval(), numbers(2, length, 4)
    out = layer(x)
    assert out.shape == (2, (length + 1) // 2, 4)
    y = F.elu(layer.norm(layer.conv(x).mT).mT)
    ends = range(length - 1, -1, -2)
    torch.testing.assert_close(out, torch.stack([y[:, max(0, end - 2) : end + 1].amax(1) for end in ends], 1).flip(1))


def test_distilling_in_eval_looks_at_no_other_sample():
    """E2"""
    layer, x = Distil(4), numbers(3, 8, 4)
    layer(x)
    layer.eval()
    torch.testing.assert_close(layer(x[:1]), layer(x)[:1])


def test_calendar_features_are_asked_for():
    embed, past, future, known = StepEmbedding(2, 7, 3, 1), numbers(2, 6, 3), numbers(2, 4, 3), numbers(2, 10, 1)
    assert embed(numbers(2, 12, 2), embed.of_window(past, future, known), before=2).shape == (2, 10, 7)
    for given in (None, numbers(2, 4, 2)):
        with pytest.raises(ZooError, match="reads 3 calendar features"):
            embed.of_window(past, given, known)
    assert StepEmbedding(2, 7).of_window(past, future, known) is None


SIZES = dict(past_covariates=2, future_covariates=1, static_categories=(3, 5), static_reals=2)


def columns(batch: int = 2) -> dict[str, torch.Tensor]:
    return dict(
        past_covariates=numbers(batch, 6, 2), future_covariates=numbers(batch, 8, 1),
        static_categorical_features=torch.tensor([[1, 4]] * batch), static_real_features=numbers(batch, 2),
    )  # fmt: skip


def test_a_token_a_column():
    """A column moves its own token and no other."""
    tokens = ExogenousTokens(4, 6, 2, **SIZES)
    given = columns()
    out = tokens(**given)
    assert tokens.count == 7 and out.shape == (2, 7, 4)
    places = {"past_covariates": 0, "future_covariates": 2, "static_real_features": 3, "static_categorical_features": 5}
    for name, place in places.items():
        other = given[name].clone()
        other[..., 0] = 0 if name.startswith("static_cat") else other[..., 0] + 1
        moved = (tokens(**{**given, name: other}) - out).abs().amax((0, 2)) > 0
        assert moved.nonzero().flatten().tolist() == [place]


@pytest.mark.parametrize("batch", [1, 3])
def test_one_column_of_one_window(batch):
    tokens = ExogenousTokens(4, 6, 2, future_covariates=1)
    assert tokens(future_covariates=numbers(batch, 8, 1)).shape == (batch, 1, 4)


def test_columns_that_are_not_the_models():
    """E7: missing ones, others, and the horizon of a column that ends with the past."""
    tokens, given = ExogenousTokens(4, 6, 2, **SIZES), columns()
    with pytest.raises(ZooError, match=r"future_covariates \[B, 8, 1\] is missing"):
        tokens(**{**given, "future_covariates": None})
    with pytest.raises(ZooError, match=r"past_covariates is \[B, 6, 2\] for this model; got \[2, 8, 2\]"):
        tokens(**{**given, "past_covariates": numbers(2, 8, 2)})
    assert ExogenousTokens(4, 6, 2)() is None
    with pytest.raises(ZooError, match="static_real_features"):
        ExogenousTokens(4, 6, 2)(static_real_features=numbers(2, 1))
