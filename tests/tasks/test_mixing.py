"""Mixup and CutMix (docs/criteria.md B4): odd batches, the right soft targets, torch's random numbers."""

import pytest
import torch
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.tasks.mixing import Mixing


def batch(n):
    """Image i is constant i, its label i: what was mixed can be read off."""
    labels = torch.arange(n)
    return labels.float().view(n, 1, 1, 1).expand(n, 1, 4, 4).clone(), labels


@pytest.mark.parametrize("n", [1, 4, 5])
@pytest.mark.parametrize("kind", [{"mixup": 1.0, "cutmix": 0}, {"mixup": None, "cutmix": 1.0}, {}])
def test_targets_are_the_shares_of_the_pixels(n, kind):
    torch.manual_seed(0)
    for _ in range(5):
        images, labels = batch(n)
        mixed, targets = Mixing(**kind)(images, labels, num_classes=6)
        assert targets.shape == (n, 6)
        torch.testing.assert_close(targets.sum(1), torch.ones(n))
        # The mean pixel is the mean label under the target, whichever way it was mixed.
        torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ torch.arange(6.0))


def test_smoothed_soft_targets_by_hand():
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    targets = torch.tensor([[0.7, 0.3, 0.0]])
    smooth = 0.9 * targets + 0.1 / 3
    by_hand = -(smooth * logits.log_softmax(-1)).sum()
    torch.testing.assert_close(F.cross_entropy(logits, targets, label_smoothing=0.1), by_hand)


def test_draws_come_from_torch_and_prob_holds():
    def draw(seed):
        torch.manual_seed(seed)
        return Mixing()(*batch(5), 5)[1]

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
    images, labels = batch(3)
    same, targets = Mixing(prob=0)(images, labels, 3)
    assert torch.equal(same, images) and torch.equal(targets, torch.eye(3))


def test_switch_decides():
    torch.manual_seed(0)
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
    cut = Mixing(switch=1.0)(images, labels, 4)[0]
    assert torch.isin(cut, images).all()  # CutMix moves pixels and makes no new ones
    assert not torch.isin(Mixing(switch=0.0)(images, labels, 4)[0], images).all()


def test_double_precision_stays():
    images, labels = batch(3)
    mixed, targets = Mixing()(images.double(), labels, 3)
    assert mixed.dtype == targets.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [{"mixup": 1.0, "cutmix": 0}, {"mixup": None, "cutmix": 1.0}, {}])
def test_the_draws_are_the_same_in_every_precision(dtype, kind):
    """trainer.precision=bf16-true makes bfloat16 the default type, in which torch has no Beta distribution."""
    torch.manual_seed(3)
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
    torch.manual_seed(1)
    plain, targets = Mixing(**kind)(images, labels, 4)
    torch.manual_seed(1)
    torch.set_default_dtype(dtype)
    try:
        mixed, soft = Mixing(**kind)(images.to(dtype), labels, 4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert mixed.dtype == soft.dtype == dtype
    torch.testing.assert_close(mixed.float(), plain, atol=0.02, rtol=0)
    torch.testing.assert_close(soft.float(), targets, atol=0.005, rtol=0)


def test_refusals():
    with pytest.raises(ZooError, match="mixup=0"):
        Mixing(mixup=0, cutmix=None)
    with pytest.raises(ZooError, match="prob=2"):
        Mixing(prob=2)
