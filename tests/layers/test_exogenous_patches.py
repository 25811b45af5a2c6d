"""Exogenous columns as patches: what each token holds."""

import pytest
import torch

from zoo.errors import ZooError
from zoo.layers.exogenous_patches import ExogenousPatches

SIZES = dict(past_covariates=1, future_covariates=2, static_categories=(3,), static_reals=1)


def columns(batch=2):
    torch.manual_seed(0)
    return [torch.randn(batch, 10, 1), torch.randn(batch, 15, 2), torch.randint(3, (batch, 1)), torch.randn(batch, 1)]


def test_a_token_a_patch_and_a_static():
    """10 steps are 3 patches of 4, 5 more steps 2; past-only columns have those of the lookback alone."""
    made = ExogenousPatches(6, 10, 5, **SIZES, patch=4, queries=3)
    given = columns()
    tokens = made(*given)
    assert tokens.shape == (2, 3 + 2 * 5 + 2, 6)
    moved = given[1].clone()
    moved[:, 10, 1] += 1  # the first step to come, of the second column
    changed = (made(given[0], moved, *given[2:]) - tokens).abs().amax((0, 2)) > 0
    assert changed.nonzero().flatten().tolist() == [3 + 5 + 3]


def test_columns_are_seen_as_the_windows_are():
    """A window's level and scale leave the patch alone, but for what stands beside it; constant columns stay finite."""
    made = ExogenousPatches(6, 10, 5, future_covariates=1, patch=5, queries=3)
    x = columns()[1][..., :1]
    with torch.no_grad():
        made.known.weight[:, 5:] = 0
    torch.testing.assert_close(made(None, x + 7), made(None, x), rtol=1e-4, atol=1e-4)
    assert made(None, torch.ones(2, 15, 1)).isfinite().all()
    bare = ExogenousPatches(6, 10, 5, future_covariates=1, patch=5, queries=3, revin=False)
    assert bare.known.in_features == 5
    assert not torch.allclose(bare(None, x + 7), bare(None, x))


@pytest.mark.parametrize("at, wrong", [(0, None), (1, torch.randn(2, 14, 2)), (1, torch.randn(2, 15, 1)), (2, None)])
def test_columns_that_are_not_there(at, wrong):
    given = columns()
    given[at] = wrong
    with pytest.raises(ZooError, match=r"covariates|static_categorical"):
        ExogenousPatches(6, 10, 5, **SIZES, patch=4, queries=3)(*given)
    with pytest.raises(ZooError, match="static_real"):
        ExogenousPatches(6, 10, 5, past_covariates=1, patch=4, queries=3)(columns()[0], None, None, columns()[3])
