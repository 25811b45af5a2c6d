"""Heads of forecasters: what the last numbers mean, held against scipy and by hand."""

import math

import pytest
import torch
from scipy import stats

from zoo.errors import ZooError
from zoo.models.series.heads import (
    LEVELS,
    Mixture,
    Normal,
    Point,
    Quantile,
    StudentT,
    interpolate,
    pinball,
    t_quantiles,
)

HEADS = {
    "point": Point,
    "quantile": Quantile,
    "two levels": lambda: Quantile([0.1, 0.9]),
    "one level": lambda: Quantile([0.5]),
    "normal": Normal,
    "student_t": StudentT,
    "mixture": Mixture,
    "one component": lambda: Mixture(1),
}
every = pytest.mark.parametrize("head", [make() for make in HEADS.values()], ids=list(HEADS))
unsure = pytest.mark.parametrize(
    "head", [make() for name, make in HEADS.items() if name != "point"], ids=[name for name in HEADS if name != "point"]
)
B, H, C = 3, 4, 2


def raw(head, spread=3.0):
    return torch.randn(B, H, C, head.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * spread


def norms():
    g = torch.Generator().manual_seed(1)
    return torch.randn(B, 1, C, generator=g, dtype=torch.float64), torch.rand(
        B, 1, C, generator=g, dtype=torch.float64
    ) + 0.1


@every
def test_a_forecast_in_the_units_of_the_window(head):
    loc, scale = norms()
    own, there = head(raw(head)), head(raw(head), loc, scale)
    assert there.mean.shape == (B, H, C)
    torch.testing.assert_close(there.mean, own.mean * scale + loc)
    assert there.loc is loc and there.scale is scale and own.loc is None
    if head.ready:
        expected = head.quantiles(own) * scale.unsqueeze(-1) + loc.unsqueeze(-1)
        torch.testing.assert_close(head.quantiles(there), expected)
    if own.params is not None:
        assert all(torch.equal(a, b) for a, b in zip(own.params, there.params, strict=True)), "before loc and scale"


@unsure
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantiles_never_cross(head, dtype):
    for spread in (1e-3, 1.0, 100.0):
        forecast = head(raw(head, spread).to(dtype), *(each.to(dtype) for each in norms()))
        for levels in (LEVELS, (0.05, 0.5, 0.501, 0.95)):
            found = head.quantiles(forecast, levels)
            assert found.shape == (B, H, C, len(levels)) and found.isfinite().all()
            assert (found.diff(dim=-1) >= 0).all()
        assert forecast.mean.dtype == torch.float32


@unsure
def test_losses_are_finite_and_have_gradients(head):
    x = raw(head, 10.0).float().requires_grad_()
    loc, scale = (each.float() for each in norms())
    loss = head.loss(head(x, loc, scale), torch.zeros(B, H, C))
    assert loss.shape == (B, H, C) and loss.isfinite().all()
    loss.sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_likelihoods_are_scipys():
    target, (loc, scale) = torch.full((B, H, C), 0.3, dtype=torch.float64), norms()
    y = ((target - loc) / scale).numpy()
    normal = Normal()(raw(Normal()), loc, scale)
    expected = -stats.norm.logpdf(y, *(p.numpy() for p in normal.params)) + scale.log().numpy()
    torch.testing.assert_close(Normal().loss(normal, target), torch.from_numpy(expected))
    student = StudentT()(raw(StudentT()), loc, scale)
    expected = -stats.t.logpdf(y, *(p.numpy() for p in student.params)) + scale.log().numpy()
    torch.testing.assert_close(StudentT().loss(student, target), torch.from_numpy(expected))
    mixed = Mixture(2)(raw(Mixture(2)), loc, scale)
    means, widths = (p.numpy() for p in mixed.params[1:])
    parts = stats.norm.pdf(y[..., None], means, widths) * torch.softmax(mixed.params[0], -1).numpy()
    torch.testing.assert_close(
        Mixture(2).loss(mixed, target), torch.from_numpy(-torch.tensor(parts).sum(-1).log().numpy()) + scale.log()
    )


def test_quantiles_are_scipys():
    levels = (0.01, 0.1, 0.5, 0.9)
    loc, scale = torch.tensor([[[1.0]]]).double(), torch.tensor([[[2.0]]]).double()
    for head, kind in ((Normal(), stats.norm), (StudentT(), stats.t)):
        forecast = head(raw(head)[:1, :, :1], loc, scale)
        params = [p.numpy()[..., None] for p in forecast.params]
        expected = 1 + 2 * kind.ppf(levels, *params)
        torch.testing.assert_close(head.quantiles(forecast, levels), torch.from_numpy(expected), rtol=1e-4, atol=1e-4)
    one = Mixture(1)
    forecast = one(raw(one))
    expected = stats.norm.ppf(levels, *(p.numpy() for p in forecast.params[1:]))
    torch.testing.assert_close(one.quantiles(forecast, levels), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    df = torch.tensor([2.0, 2.5, 3.3, 10.0, 1e3, 1e7], dtype=torch.float64)
    expected = stats.t.ppf(LEVELS, df.numpy()[:, None])
    torch.testing.assert_close(t_quantiles(df, LEVELS), torch.from_numpy(expected), rtol=0, atol=1e-6)


def test_a_mixtures_quantiles_have_their_shares_below():
    head = Mixture(3)
    forecast = head(raw(head))
    for level, q in zip(LEVELS, head.quantiles(forecast).unbind(-1), strict=True):
        assert (head.base(forecast.params).cdf(q) - level).abs().max() < 1e-9


def test_the_mean_of_quantiles_is_that_of_the_function_between_them():
    head = Quantile([0.2, 0.5, 0.9])
    forecast = head(raw(head))
    u = (torch.arange(100_000).double() + 0.5) / 100_000
    function = interpolate(forecast.quantiles, head.levels, u.tolist())
    torch.testing.assert_close(forecast.mean, function.mean(-1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(interpolate(forecast.quantiles, head.levels, head.levels), forecast.quantiles)
    alone = Quantile([0.5])
    assert torch.equal(alone(raw(alone)).mean, alone(raw(alone)).quantiles[..., 0])


def test_samples_are_of_the_distribution():
    torch.manual_seed(0)
    for head in (Normal(), StudentT(), Mixture()):
        loc, scale = norms()
        forecast = head(raw(head, 0.3), loc, scale)
        drawn = head.distribution(forecast).sample((20_000,))
        below = (drawn.unsqueeze(-1) < head.quantiles(forecast)).double().mean(0)
        assert (below - torch.tensor(LEVELS).double()).abs().max() < 0.02


def test_pinball_by_hand():
    loss = pinball(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]), (0.1, 0.9))
    torch.testing.assert_close(loss, torch.tensor([[0.1, 0.1]]))
    head = Quantile([0.1, 0.9])
    forecast = head(raw(head))
    expected = pinball(forecast.quantiles, torch.zeros(B, H, C).double(), head.levels).mean(-1)
    torch.testing.assert_close(head.loss(forecast, torch.zeros(B, H, C).double()), expected)


def test_what_is_refused():
    for levels in ([], [0.5, 0.1], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0]):
        with pytest.raises(ZooError, match=r"model.head.levels=.* are not ascending numbers between 0 and 1"):
            Quantile(levels)
    with pytest.raises(ZooError, match=r"model.head.components=0 is below 1"):
        Mixture(0)
    with pytest.raises(ZooError, match="head=Point has no quantiles; take head=quantile"):
        Point().quantiles(Point()(raw(Point())))
    assert Point().loss(Point()(raw(Point())), torch.zeros(B, H, C)) is None, "the task decides"
    assert math.isclose(sum(LEVELS), 4.5)
