"""RevIN: what is observed of a window, normed; its statistics come back with it (bug 19)."""

import torch

from zoo.layers import RevIN


def window(b=3, n=20, c=2):
    return torch.randn(b, n, c, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50.0]) + 7


def test_a_window_has_mean_0_and_deviation_1_and_comes_back():
    x, revin = window(), RevIN()
    normed, loc, scale = revin(x)
    assert loc.shape == scale.shape == (3, 1, 2)
    assert normed.mean(1).abs().max() < 1e-5 and (normed.var(1, correction=0) - 1).abs().max() < 1e-4
    torch.testing.assert_close(normed * scale + loc, x)
    assert not list(revin.buffers()) and not list(revin.parameters()), "nothing stays on the module (bug 19)"


def test_what_is_not_observed_counts_nowhere():
    x, revin = window(), RevIN()
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    normed, loc, scale = revin(x, observed)
    for b in range(3):
        for c in range(2):
            there = x[b, observed[b, :, c], c]
            torch.testing.assert_close(loc[b, 0, c], there.mean())
            torch.testing.assert_close(scale[b, 0, c], (there.var(correction=0) + 1e-5).sqrt())
    assert (normed[~observed] == 0).all()
    other = revin(x.masked_fill(~observed, float("nan")), observed)
    assert all(torch.equal(a, b) for a, b in zip(other, (normed, loc, scale), strict=True)), (
        "nor does what stands there"
    )
    kept = RevIN(hide=False)(x, observed)[0]
    torch.testing.assert_close(kept, (x - loc) / scale)
    full = revin(x, torch.ones_like(observed))
    torch.testing.assert_close(full[0], revin(x)[0], rtol=1e-5, atol=1e-5)


def test_constant_and_empty_channels_stay_finite():
    x = torch.full((2, 9, 2), 1e4).requires_grad_()
    for observed in (None, torch.ones(2, 9, 2, dtype=torch.bool), torch.zeros(2, 9, 2, dtype=torch.bool)):
        normed, loc, scale = RevIN()(x, observed)
        assert normed.abs().max() < 1 and scale.isfinite().all() and (scale > 0).all()
        (normed.sum() + loc.sum() + scale.sum()).backward()
        assert x.grad.isfinite().all()
    assert (loc == 0).all() and (scale == 1).all(), "nothing observed"


def test_statistics_are_wide_in_bfloat16():
    x = window().bfloat16()
    normed, loc, scale = RevIN()(x)
    assert normed.dtype == torch.bfloat16 and loc.dtype == scale.dtype == torch.float32
    torch.testing.assert_close(loc, x.float().mean(1, keepdim=True))
    assert RevIN()(window().double())[1].dtype == torch.float64


def test_affine_has_one_way_back_and_divides_by_nothing():
    revin = RevIN(2, affine=True)
    with torch.no_grad():
        revin.log_gain.copy_(torch.tensor([-3.0, 2.0]))
        revin.bias.copy_(torch.tensor([0.5, -4.0]))
    x = window()
    plain = RevIN()(x)[0]
    normed, own_loc, own_scale = revin(x)
    torch.testing.assert_close(normed, plain * revin.log_gain.exp() + revin.bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(normed * own_scale + own_loc, x, rtol=1e-4, atol=1e-3)
    assert (own_scale > 0).all()


def test_called_again_before_the_way_back():
    revin = RevIN()
    first, second = window(), window() * 3 + 1
    a = revin(first)
    revin(second)
    torch.testing.assert_close(a[0] * a[2] + a[1], first)
