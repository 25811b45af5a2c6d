"""The CNN keeps the ViT's outward interface."""

import pytest
import torch

import zoo
from zoo.errors import ZooError

CONFIG = {"_target_": "zoo.models.cnn.CNN", "in_chans": 1, "num_classes": 3, "widths": [4, 6]}


def test_a_new_head_is_in_the_config():
    model = zoo.build(CONFIG).double()
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    model.reset_classifier(5)
    assert model(images).shape == (2, 5) and model.config["num_classes"] == 5 and CONFIG["num_classes"] == 3
    model.reset_classifier(0)
    assert isinstance(model.head, torch.nn.Identity)
    assert torch.equal(model(images), model.forward_head(model.forward_features(images), pre_logits=True))
    again = zoo.build(model.config)
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    model.reset_classifier(2)
    assert model(images).shape == (2, 2)


def test_groups_hold_each_parameter_once():
    model = zoo.build(CONFIG)
    names = [name for group in model.layer_groups() for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_nothing_is_recomputed():
    with pytest.raises(ZooError, match=r"task\.grad_checkpointing=false"):
        zoo.build(CONFIG).set_grad_checkpointing(True)
