"""A probe is the same anywhere, needs no data, and finds changed weights: every model of conf/model, every kind of column."""

import json
from pathlib import Path

import pytest
import torch

from tests import own
from tests.test_recipes import SPECS
from tests.training.compose import compose
from zoo.config import locate, plain
from zoo.errors import ZooError
from zoo.models import build_model
from zoo.models.examples import Draw
from zoo.models.fit import fit
from zoo.pretrained import probe
from zoo.spec import GraphSpec, RelationalGraphSpec, SeriesSpec

CONF = Path(__file__).resolve().parents[2] / "conf"
SERIES = SeriesSpec(channels=2, lookback=32, horizon=8, time_features=4, names=("a", "b"))
EXOGENOUS = SeriesSpec(
    channels=2, lookback=32, horizon=8, time_features=4, names=("a", "b"), past_covariates=2, future_covariates=1,
    static_categories=(3, 4), static_reals=2,
)  # fmt: skip
NUMBERED = RelationalGraphSpec(classes=("a", "b"), in_dim=99, num_nodes=99, num_relations=3)
CASES = {
    **{path.stem: ([], None) for path in sorted((CONF / "model").glob("*.yaml"))},
    "gat, graphs": (["model.readout=mean"], None),
    "gat, edges": ([], GraphSpec(classes=("a", "b"), in_dim=5, edge_dim=3)),
    **{f"gat, {position}": ([f"position={position}"], None) for position in ("laplacian", "random_walk", "shortest_path")},
    "gat, numbers": (["+model.embed={_target_: zoo.layers.Embeddings, _partial_: true}"], None),
    "rgat, numbers": ([], NUMBERED),
    "patchtst, columns": ([], EXOGENOUS),
    "informer, columns": ([], EXOGENOUS),
    "gpt, classes": (["model.num_classes=3"], None),
}  # fmt: skip


def built(case):
    (extra, spec), name = CASES[case], case.split(",")[0]
    config = plain(compose(f"model={name}", *extra).model)
    if config.get("depth", 0) > 2:
        config["depth"] = 2
    modality = locate(config["_target_"]).reads[0]
    spec = spec or (SERIES if modality == "series" else SPECS[modality])
    outputs = config.get("num_classes") or (
        0 if modality in ("text", "series", "pairs", "captions") else len(spec.classes)
    )
    torch.manual_seed(0)
    model = build_model(fit(config, spec, outputs))
    with torch.no_grad():  # a bias that is 0 stays 0, whatever it is multiplied with
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.mark.parametrize("case", CASES)
def test_every_family_has_a_probe_that_finds_a_changed_weight(case):
    model = built(case).train()
    stated = json.loads(json.dumps(probe.make(model)))
    assert model.training and len(json.dumps(stated)) < 5000 and stated.keys() == {"seed", "input", "count", "outputs"}
    assert probe.compare(model, stated) == 0.0 and probe.agrees(probe.differences(model, stated))
    largest = max(model.parameters(), key=torch.Tensor.numel)
    with torch.no_grad():
        largest.mul_(1.01)
    assert not probe.agrees(probe.differences(model, stated))


def test_the_numbers_of_a_seed_are_these():
    """They are part of the format: a card of today is checked by versions to come."""
    draw = Draw(0)
    assert draw.numbers(3).tolist() == [0.47444918751716614, -0.7974821925163269, -1.5901143550872803]
    assert draw.below(10, 4).tolist() == [0, 8, 9, 6]
    told = probe.make(built("nlinear"))["input"]
    assert told["shapes"] == [[2, 32, 2], [2, 32, 2]] and told["sha256"].startswith("4e6a3c7847a9404a")
    assert probe.make(built("nlinear"), seed=1)["input"] != told


def test_half_precision_is_computed_in_float32_too():
    model = built("gpt").bfloat16()
    stated = probe.make(model)
    assert list(stated["outputs"]) == ["float32", "bfloat16"] and next(model.parameters()).dtype == torch.bfloat16
    assert probe.differences(model, stated) == {"float32": 0.0, "bfloat16": 0.0}
    wide = probe.differences(model.float(), stated)  # the same weights, in memory of twice the size
    assert wide["float32"] < 1e-6 and wide["bfloat16"] < 2e-2
    with torch.no_grad():
        model.blocks[0].mlp.fc2.weight.mul_(1.01)
    assert probe.compare(model, stated) > 1e-4


def test_a_side_of_which_the_weights_hold_nothing_takes_no_memory():
    model = built("cnn")
    model.config = {**model.config, "img_size": 2**20}
    with pytest.raises(ZooError, match="2,199,023,255,552 numbers"):
        probe.make(model)


def test_a_compiled_model_is_not_compiled_again():
    model = built("nlinear")
    stated = probe.make(model)

    def backend(graph, inputs):
        raise AssertionError("it is compiled")

    model.compile(backend=backend)
    assert probe.make(model) == stated


def test_what_is_no_probe_is_a_sentence():
    model = built("dlinear")
    stated = probe.make(model)
    with pytest.raises(ZooError, match="made otherwise by this version"):
        probe.differences(model, {**stated, "input": {**stated["input"], "sha256": "0" * 64}})
    wrong = [{"outputs": {"int4": {}}}, {"outputs": {}}, {"outputs": [1]}, {"seed": "x"}, {"seed": -1}, {"seed": None}]
    for broken in ({"outputs": stated["outputs"]}, *({**stated, **each} for each in wrong)):
        with pytest.raises(ZooError):
            probe.differences(model, broken)
    for values in (["x"], None):
        with pytest.raises(ZooError, match="no numbers"):
            probe.differences(model, {**stated, "outputs": {"float32": {"values": values, "rms": 1.0}}})
    short = {"float32": {"values": [1.0], "rms": 1.0}}
    assert probe.differences(model, {**stated, "outputs": short}) == {"float32": float("inf")}
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    assert probe.differences(model, stated)["float32"] == float("inf")
    with pytest.raises(ZooError, match="not finite"):
        probe.make(model)


def test_a_model_of_a_kind_of_its_own_gives_an_example(tmp_path, monkeypatch):
    code = """
from torch import nn
from zoo.models import Model
class Sound(Model):
    reads, num_classes = ("sound",), 2
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(5, 2)
    def forward(self, wave):
        return self.map(wave)
class Heard(Sound):
    def example(self, draw):
        return (draw.numbers(draw.rows, 5),)
"""
    with own.package("noises", {"__init__.py": code}, tmp_path, monkeypatch):
        import noises

        assert probe.make(noises.Sound()) is None and probe.make(torch.nn.Linear(2, 2)) is None
        model = noises.Heard()
        assert probe.compare(model, probe.make(model)) == 0.0
