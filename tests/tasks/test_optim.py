"""Parameter groups (docs/criteria.md B5, bug 32): each parameter once, and the right ones without decay."""

import pytest
import torch
from torch import nn

import zoo
from tests.tasks.tiny import ADAMW, Tiny
from zoo.errors import ZooError
from zoo.models.registry import CONFIGS
from zoo.tasks.optim import build_optimizer, no_decay_names, parameter_groups


def names_of(groups):
    return [name for group in groups for name, _ in group["params"]]


def test_decay_partition_by_hand():
    groups = parameter_groups(Tiny())
    decayed = {name for group in groups if "weight_decay" not in group for name, _ in group["params"]}
    assert decayed == {"embed.weight", "mix.weight", "head.weight"}
    assert sorted(names_of(groups)) == sorted(name for name, _ in Tiny().named_parameters())


def test_norm_of_two_dimensions_and_bias_of_two_are_not_decayed():
    model = nn.Module()
    model.norm = nn.LayerNorm((3, 4))
    model.bias = nn.Parameter(torch.zeros(2, 2))
    model.weight = nn.Parameter(torch.zeros(2, 2))
    assert no_decay_names(model, dict(model.named_parameters())) == {"norm.weight", "norm.bias", "bias"}


def test_layer_decay_by_hand():
    optimizer = build_optimizer(Tiny(), ADAMW, layer_decay=0.5)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rates["head.weight"] == rates["norm.bias"] == 1e-2
    assert rates["mix.weight"] == rates["batch_norm.bias"] == 5e-3
    assert rates["embed.weight"] == rates["token"] == 2.5e-3
    assert {g["weight_decay"] for g in optimizer.param_groups if "mix.weight" in g["param_names"]} == {0.1}


FORECASTERS = ("dlinear", "informer", "itransformer", "nlinear", "patchtst", "transformer")
SIZES = {"channels": 2, "lookback": 48, "horizon": 8}


@pytest.mark.parametrize("name", sorted({*CONFIGS, *FORECASTERS}))
@pytest.mark.parametrize("layer_decay", [None, 0.75])
def test_partition_of_every_model(name, layer_decay):
    series = name in FORECASTERS or CONFIGS[name]["_target_"].startswith("zoo.models.series.")
    with torch.device("meta"):
        model = zoo.create_model(name, **(SIZES if series else {}))
    if layer_decay and model.layer_groups() is None:
        pytest.skip("the model has no order of layers, and says so")
    groups = parameter_groups(model, layer_decay)
    names, parameters = names_of(groups), dict(model.named_parameters())
    assert len(names) == len(set(names)) and set(names) == set(parameters)
    plain = {name for group in groups if group.get("weight_decay") == 0 for name, _ in group["params"]}
    for name, parameter in parameters.items():
        own = name.removeprefix("token_head.")  # BERT's map to words: no token, but matrices
        exempt = parameter.ndim <= 1 or any(word in own for word in ("norm", "bias", "token", "position"))
        assert (name in plain) == exempt, name


def test_frozen_parameters_are_in_no_group():
    model = Tiny()
    model.embed.requires_grad_(False)
    assert "embed.weight" not in names_of(parameter_groups(model, 0.5))


def test_wrong_names_are_refused():
    class Renamed(Tiny):
        def no_weight_decay(self):
            return {"cls_token"}

    class Forgot(Tiny):
        def layer_groups(self):
            return super().layer_groups()[1:]

    class Twice(Tiny):
        def layer_groups(self):
            return [*super().layer_groups(), ["token"]]

    with pytest.raises(ZooError, match="cls_token"):
        parameter_groups(Renamed())
    with pytest.raises(ZooError, match=r"leaves out: embed.bias, embed.weight"):
        parameter_groups(Forgot(), 0.5)
    with pytest.raises(ZooError, match="more than once: token"):
        parameter_groups(Twice(), 0.5)
    with pytest.raises(ZooError, match="no layer_groups"):
        parameter_groups(nn.Linear(2, 2), 0.5)
    with pytest.raises(ZooError, match="no parameter to train"):
        parameter_groups(Tiny().requires_grad_(False))
