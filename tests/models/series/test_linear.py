"""DLinear and NLinear: what they compute, with gaps and at the smallest sizes."""

import pytest
import torch
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.layers.gaps import carry_forward
from zoo.models.series.heads import Point, Quantile, StudentT
from zoo.models.series.linear import DLinear, NLinear

KINDS = (DLinear, NLinear)


def series(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_dlinear_maps_trend_and_rest():
    """Zeng et al. 2023, section 4: an average of 25 with repeated ends, and a map for each part."""
    model, x = DLinear(2, 48, 12), series(3, 48, 2)
    padded = torch.cat([x[:, :1].repeat(1, 12, 1), x, x[:, -1:].repeat(1, 12, 1)], 1)
    trend = torch.stack([padded[:, t : t + 25].mean(1) for t in range(48)], 1)
    parts = model.proj
    y = F.linear((x - trend).mT, parts["seasonal"].weight, parts["seasonal"].bias)
    y = y + F.linear(trend.mT, parts["trend"].weight, parts["trend"].bias)
    torch.testing.assert_close(model(x).mean, y.mT)


def test_nlinear_goes_on_from_the_last_value():
    model, x = NLinear(2, 48, 12), series(3, 48, 2)
    moved = model(x + 5).mean
    torch.testing.assert_close(moved, model(x).mean + 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [Point(), Quantile((0.1, 0.5, 0.9)), StudentT()])
@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (3, 2)])
def test_one_channel_and_one_window(kind, head, batch, channels):
    """E12, bug 11: axes of length 1 stay axes; a window alone is as in a batch (E2)."""
    model = kind(channels, 30, 5, head=head).eval()
    x = series(batch, 30, channels)
    out = model(x)
    assert out.mean.shape == (batch, 5, channels)
    alone = model(x[:1])
    torch.testing.assert_close(alone.mean, out.mean[:1])


@pytest.mark.parametrize("kind", [*KINDS, lambda *sizes: DLinear(*sizes, revin=True)])
def test_what_is_not_observed_is_not_read(kind):
    """E8: whatever stands in an unobserved cell, a whole channel too, the forecast is the same and finite."""
    model = kind(3, 30, 5).eval()
    x, observed = series(2, 30, 3), series(2, 30, 3, seed=1) > 0
    observed[0, :, 1] = False
    out = model(x, past_observed_mask=observed).mean
    other = model(x.masked_fill(~observed, 1e6), past_observed_mask=observed).mean
    torch.testing.assert_close(out, other, rtol=0, atol=0)
    assert out.isfinite().all()


def test_gaps_are_carried_forward():
    x = torch.tensor([7.0, 1, 7, 7, 2, 7]).view(1, 6, 1)
    observed = torch.tensor([0, 1, 0, 0, 1, 0], dtype=torch.bool).view(1, 6, 1)
    assert carry_forward(x, observed).flatten().tolist() == [1, 1, 1, 1, 2, 2]
    assert carry_forward(x, torch.zeros_like(observed)).flatten().tolist() == [0] * 6
    assert carry_forward(x, None) is x


def test_a_constant_channel_trains_and_stays_finite():
    model = DLinear(2, 30, 5, revin=True)
    x = series(4, 30, 2)
    x[..., 1] = 3.0
    out = model(x).mean
    out.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert (out[..., 1] - 3).abs().max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_exogenous_columns_are_refused(kind):
    """E7"""
    with pytest.raises(ZooError, match="reads no exogenous columns"):
        kind(1, 8, 2)(series(1, 8, 1), past_covariates=series(1, 8, 1))


def test_an_average_of_no_steps_is_refused():
    with pytest.raises(ZooError, match="kernel_size=0"):
        DLinear(1, 8, 2, kernel_size=0)
