"""Windows to patches, which of them are hidden, and batch norm over tokens."""

import pytest
import torch
from torch import nn

from zoo.errors import ZooError
from zoo.layers.patch_masking import LastPatches, RandomPatches
from zoo.layers.series_patches import SeriesPatches, TokenBatchNorm


@pytest.mark.parametrize("end_padding", [True, False])
@pytest.mark.parametrize("lookback, patch, stride", [(336, 16, 8), (37, 16, 8), (16, 16, 8), (20, 3, 5), (12, 12, 12)])
def test_the_newest_value_is_in_the_last_patch(lookback, patch, stride, end_padding):
    """Bug 18, at every remainder: with end padding the last value is repeated, without it the oldest are left out."""
    cut = SeriesPatches(lookback, patch, stride, 8, 2, end_padding)
    x = torch.arange(2 * lookback).float().view(1, lookback, 2)
    patches = cut.cut(x)
    assert patches.shape == (1, 2, cut.count, patch)
    if stride <= patch:
        assert (patches[0, :, -1] == x[0, -1].unsqueeze(-1)).any(-1).all()
    if not end_padding:
        assert (patches[0, :, -1, -1] == x[0, -1]).all()
    assert cut(patches).shape == (1, 2, cut.count, 8)


def test_end_padding_repeats_the_last_value():
    patches = SeriesPatches(336, 16, 8, 8, 1).cut(torch.arange(336.0).view(1, 336, 1))
    assert patches.shape[2] == 42 and patches[0, 0, -1].tolist() == [*range(328, 336), *[335] * 8]


def test_a_map_for_each_channel():
    cut = SeriesPatches(12, 4, 4, 5, 3, end_padding=False, shared=False)
    x = torch.randn(2, 12, 3)
    tokens = cut(cut.cut(x))
    alone = x[:, 4:8, 1] @ cut.proj.weight[1].T + cut.proj.bias[1]
    torch.testing.assert_close(tokens[:, 1, 1], alone)


@pytest.mark.parametrize("sizes", [(15, 16, 8), (20, 0, 8), (20, 4, 0)])
def test_sizes_that_cannot_be(sizes):
    with pytest.raises(ZooError, match="patch"):
        SeriesPatches(*sizes, 8, 1)


def test_batch_norm_is_over_all_tokens():
    norm, x = TokenBatchNorm(6), torch.randn(3, 5, 6) * 4 + 2
    theirs = nn.BatchNorm1d(6)
    torch.testing.assert_close(norm(x), theirs(x.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(norm.running_var, theirs.running_var)
    torch.testing.assert_close(norm.eval()(x[:1]), norm(x)[:1])
    assert norm(x.transpose(0, 1)).shape == (5, 3, 6)


@pytest.mark.parametrize("ratio, patches, hidden", [(0.4, 10, 4), (0.4, 42, 17), (0.0, 5, 0), (0.9, 3, 2)])
def test_random_patches(ratio, patches, hidden):
    masking = RandomPatches(ratio, shown=(2,))
    mask = masking(4, 3, patches)
    assert (mask[:, :2].sum(-1) == hidden).all() and not mask[:, 2].any() and mask.dtype == torch.bool
    torch.manual_seed(1)
    first = masking.eval()(4, 3, patches)
    assert torch.equal(first, masking(4, 3, patches))


def test_the_same_patches_in_all_channels():
    mask = RandomPatches(0.5, same_channels=True)(4, 3, 10)
    assert torch.equal(mask[:, 0], mask[:, 1]) and not torch.equal(mask[0], mask[1])


def test_last_patches():
    assert LastPatches(2)(2, 3, 5)[1, 2].tolist() == [False] * 3 + [True] * 2
    several = LastPatches([1, 3])(4, 1, 5)
    assert sorted(several.sum(-1).flatten().tolist()) == [1, 1, 3, 3]
    with pytest.raises(ZooError, match="one has to be seen"):
        LastPatches(5)(1, 1, 5)
    with pytest.raises(ZooError, match="positive"):
        LastPatches([0])
    with pytest.raises(ZooError, match=r"\[0, 1\)"):
        RandomPatches(1.0)
