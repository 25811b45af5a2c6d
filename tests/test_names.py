"""One name space of models for zoo.create_model, train.py and `zoo list`: one name, one class, one size."""

from functools import partial

import pytest
import torch

import zoo
from tests.training.compose import compose
from zoo import conf
from zoo.api import config_of
from zoo.attention import Attention, General
from zoo.config import check, plain
from zoo.errors import ZooError
from zoo.models import create_model
from zoo.models.registry import CONFIGS, DECIDED

SIZES = {
    "img_size": 8,
    "in_chans": 1,
    "in_dim": 5,
    "num_classes": 3,
    "edge_dim": 0,
    "num_relations": 2,
    "vocab_size": 11,
    "context": 12,
    "channels": 2,
    "lookback": 24,
    "horizon": 4,
    "source_vocab": 11,
    "target_vocab": 11,
}
SIZES["metadata"] = {"target": "paper", "metapaths": [["paper", "pap", "paper"]]}


def test_all_names_are_listed_once():
    names = zoo.list_models()
    assert names == sorted({*CONFIGS, *conf.options("model")}) and not CONFIGS.keys() & conf.options("model").keys()
    assert (
        zoo.list_models("gat*") == [name for name in names if name.startswith("gat")]
        and create_model is zoo.create_model
    )


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_name_is_the_same_model_everywhere(name):
    """From train.py's config and from create_model: the same class, tensors of the same shapes under the same names."""
    config = plain(compose(f"model={name}"))["model"]
    check({"model": config})
    if name in CONFIGS:
        assert {key: config[key] for key in CONFIGS[name] if key not in DECIDED} == {
            key: value for key, value in CONFIGS[name].items() if key not in DECIDED
        }
    sizes = {key: SIZES[key] for key, value in config.items() if value is None and key in SIZES}
    with torch.device("meta"):
        ours, theirs = zoo.create_model(name, **sizes), zoo.build({**config, **sizes, **_filled(config)})
    assert type(ours) is type(theirs)
    assert _shapes(ours) == _shapes(theirs)


def _filled(config):
    """What a ViT of images of 8x8 pixels puts where a config has null."""
    return {key: value for key, value in {"patch_size": 2, "mlp_ratio": 2.0}.items() if config.get(key, 0) is None}


def _shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def test_parts_are_swapped_in_models_of_a_name():
    config = plain(compose("model=vit_tiny_patch16_224", "score=additive", "position=rope"))["model"]
    assert (
        config["attention"]["score"]["_target_"] == "zoo.attention.Additive"
        and "RoPE" in config["position"]["_target_"]
    )
    assert compose("model=gat_cora").trainer.max_epochs == 200


def test_a_size_that_only_data_know_is_asked_for():
    with pytest.raises(ZooError, match="gat leaves in_dim, num_classes, edge_dim to the data"):
        zoo.create_model("gat")
    with pytest.raises(ZooError, match="'vitt' is not a model; did you mean 'vit'"):
        config_of("vitt")


def test_a_part_that_is_an_object_is_refused_and_a_described_one_taken():
    sizes = dict(source_vocab=9, target_vocab=9, dim=8)
    with pytest.raises(ZooError, match=r'attention is an object.*"_target_".*"_partial_": True'):
        zoo.create_model("luong", **sizes, attention=partial(Attention, score=General))
    score = {"_target_": "zoo.attention.General", "_partial_": True}
    part = {"_target_": "zoo.attention.Attention", "_partial_": True, "score": score}
    assert isinstance(zoo.create_model("luong", **sizes, attention=part).decoder.attn.score, General)
