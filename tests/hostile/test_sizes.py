"""A7: a config whose sizes its weights are not of is refused before anything takes memory."""

import pytest

import zoo
from tests.hostile.conftest import OF_CHECKPOINT, OF_FOLDER, OF_YAML
from tests.hostile.files import CONFIG, change_config, set_model, set_weights

DOORS = OF_FOLDER | OF_CHECKPOINT | OF_YAML
GAT = {"_target_": "zoo.models.gat.GAT", "in_dim": 1, "num_classes": 2, "head_dim": 1, "num_heads": 1}
ATTENTION = {"_target_": "zoo.attention.Attention", "_partial_": True}
SIZES = {
    "dim": {**CONFIG, "dim": 1_000_000},
    "dim within a whole number": {**CONFIG, "dim": 1024, "mlp_ratio": 1000.0},
    "depth": {**CONFIG, "depth": 1_000_000_000},
    "depth within": {**CONFIG, "depth": 1_000_000},
    "img_size": {**CONFIG, "img_size": 1_000_000},
    "img_size and patch_size": {**CONFIG, "img_size": 1_000_000, "patch_size": 1_000_000},
    "classes": {**CONFIG, "num_classes": 1_000_000},
    "registers": {**CONFIG, "reg_tokens": 10**6},
    "heads of ALiBi": {**CONFIG, "position": {"_target_": "zoo.attention.ALiBi", "_partial_": True, "num_heads": 10**9}},
    "a float": {**CONFIG, "depth": 1e9},
    "infinite ratio": {**CONFIG, "mlp_ratio": 1e300},
    "negative": {**CONFIG, "dim": -8},
    "zero": {**CONFIG, "patch_size": 0},
    "more bits": {**CONFIG, "dim": 10**30},
    "a norm": {**CONFIG, "norm": {"_target_": "torch.nn.LayerNorm", "_partial_": True, "device": "cuda"}},
    "a table": {
        **CONFIG, "attention": {**ATTENTION, "position": {"_target_": "zoo.attention.RelativeBias", "_partial_": True,
                                                          "num_buckets": 10**9}},
    },
    "layers without weights": {
        **GAT, "depth": 10**6, "attention": {"_target_": "zoo.attention.Attention", "dim": 1, "num_heads": 1},
    },
    "widths": {"_target_": "zoo.models.cnn.CNN", "in_chans": 1, "widths": [1] * 10_000},
    "a part as text": {**CONFIG, "norm": "LayerNorm"},
    "no model": {"_target_": "zoo.attention.Full"},
    "a function": {"_target_": "zoo.layers.pre_norm"},
    "another model": {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 8},
    "other names": {**CONFIG, "depth": 2},
}  # fmt: skip
#: which of the guards it is that refuses, where others would too, later and at a cost
SAID = {
    "dim": "would hold", "depth": "larger than anything", "depth within": "more tensors",
    "layers without weights": "more modules", "a float": "is a float, not int", "a norm": "where a model lies",
}  # fmt: skip
#: what no weights are needed to see
ALONE = {
    "depth", "depth within", "a float", "negative", "zero", "more bits", "a norm", "a part as text", "no model", "a function",
    "heads of ALiBi", "layers without weights",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_sizes_that_the_weights_are_not_of(run, refused, door):
    """Built without memory first, and compared."""
    needs_weights = "info" not in str(next(name for name, each in DOORS.items() if each is door))
    for name, config in SIZES.items():
        if needs_weights or name in ALONE:
            set_model(run, config)
            said = refused(door)
            assert SAID.get(name, "") in said, (name, said)


def test_sizes_at_the_datas_size_stay_within_reason(run, refused):
    """The position table of a file's patch size, at the size of the user's images."""
    from zoo.pretrained import initialise

    model = zoo.build({**CONFIG, "img_size": 1, "patch_size": 1, "dim": 64})
    set_model(run, model.config)
    set_weights(run, model.state_dict())
    change_config(run, preprocess=None)
    assert "numbers" in refused(lambda run: initialise(CONFIG, str(run), {"img_size": 4096}))
