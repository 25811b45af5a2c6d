"""Parts: fixed by split_seed, disjoint, stratified; the test set chooses nothing."""

import numpy as np
import pytest
import torch

from datamodules.images import Digits
from datamodules.images.sources import ImageArrays
from zoo.errors import ZooError


def parts(module):
    return [set(module.rows(part).tolist()) for part in ("train", "val", "test")]


def test_digits_are_split_60_20_20(digits):
    module = digits()
    assert (module.train_size, module.val_size, module.test_size) == (1077, 360, 360)
    train, val, test = parts(module)
    assert not train & val and not train & test and not val & test
    assert len(train | val | test) == 1797
    for rows in (module.rows("val"), module.rows("test")):
        counts = np.bincount(module.source.labels[rows])
        assert counts.min() >= 34 and counts.max() <= 37  # 174 to 183 of each in all


def test_split_does_not_follow_the_seed(digits):
    assert parts(digits(seed=0)) == parts(digits(seed=1))
    assert parts(digits(split_seed=0)) != parts(digits(split_seed=1))


def test_second_half(digits):
    module = digits(split="second_half")
    assert module.rows("test").tolist() == list(range(899, 1797))  # as scikit-learn's example halves them
    train, val, test = parts(module)
    assert train | val == set(range(899)) and not train & val
    assert not (train | val) & test


def test_unknown_split_names_the_nearest():
    with pytest.raises(ZooError, match=r"data.split=second_halve is unknown: did you mean 'second_half'"):
        Digits(split="second_halve").setup()


def test_train_limit_is_balanced_and_leaves_the_rest_alone(digits):
    module, whole = digits(train_limit=100), digits()
    assert module.train_size == 100
    counts = np.bincount(module.source.labels[module.rows("train")])
    assert counts.min() >= 9 and counts.max() <= 11
    train, val, test = parts(module)
    all_train, all_val, all_test = parts(whole)
    assert train < all_train and val == all_val and test == all_test
    assert parts(digits(train_limit=100, seed=3))[0] == train


def test_no_validation_is_possible(digits):
    module = digits(val_fraction=0.0)
    assert module.val_size == 0 and module.val_dataloader() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_limit": 5000}, r"train_limit=5000 does not fit the 1077 training images"),
        ({"train_limit": 5}, r"train_limit=5 cannot take a stratified part .*10 classes"),
        ({"val_fraction": 1.5}, r"val_fraction=1.5 is not a share"),
        ({"test_fraction": -0.1}, r"test_fraction=-0.1 is not a share"),
    ],
)
def test_impossible_parts_are_refused(options, message):
    with pytest.raises(ZooError, match=message):
        Digits(**options).setup()


@pytest.mark.parametrize("label", [-1, 2])
def test_label_outside_the_classes(label):
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ZooError, match=rf"image 1 has label {label}, outside the 2 classes \(0 to 1\)"):
        ImageArrays(images, np.array([0, label, 1]), ("a", "b"))
