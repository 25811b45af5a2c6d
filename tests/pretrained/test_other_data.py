"""init= on other data (B1): for every family what adapts is listed, and what cannot is refused by its name."""

import json
from pathlib import Path

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.pretrained import initialise
from zoo.tasks.forecasting import Forecasting

OLD = Path(__file__).resolve().parents[1] / "old"
CONFIGS = {path.parent.parent.name: json.loads(path.read_text())["model"] for path in OLD.glob("*/model/config.json")}
SERIES = {"channels": 2, "lookback": 24, "horizon": 6, "time_features": 4, "past_covariates": 0, "future_covariates": 0}
SERIES |= {"static_categories": (), "static_reals": 0}
#: family -> facts of other data, what is listed as changed, by the beginnings of names; all else is the source's
ADAPTS = [
    ("cnn", {"num_classes": 3, "in_chans": 3}, {"features.0", "head"}),
    ("vit", {"num_classes": 3, "img_size": 12}, {"position", "head"}),
    ("gpt", {"vocab_size": 25, "num_classes": 4}, {"head"}),
    ("llama", {"vocab_size": 270, "num_classes": 2}, {"head"}),
    ("bert", {"vocab_size": 70, "num_classes": 5}, {"head"}),
    ("gat", {"in_dim": 64, "num_classes": 4}, {"layers.1"}),
    ("gatv2", {"in_dim": 6, "num_classes": 5, "edge_dim": 2}, {"layers.1"}),
    ("graph_transformer", {"in_dim": 6, "num_classes": 5}, {"layers.1"}),
    ("rgat", {"in_dim": 8285, "num_nodes": 8285, "num_relations": 90, "num_classes": 7}, {"layers.1"}),
    ("han", {"in_dim": 6, "num_classes": 5}, {"head"}),
    ("patchtst", {"horizon": 12}, {"proj"}),
    ("patchtst", {"lookback": 32, "channels": 5}, {"proj", "position"}),
    ("informer", {"horizon": 12, "lookback": 32}, set()),
    ("informer", {"channels": 3}, {"proj", "embed.values", "decoder_embed.values"}),
    ("informer", {"time_features": 0}, {"embed.calendar", "decoder_embed.calendar"}),
    ("itransformer", {"horizon": 12, "channels": 5, "time_features": 0}, {"proj"}),
    ("itransformer", {"lookback": 32}, {"embed"}),
    ("dlinear", {"horizon": 12, "lookback": 32, "channels": 3}, {"proj"}),
    ("nlinear", {"horizon": 12, "channels": 3}, {"proj"}),
]
REFUSED = [
    ("gat", {"in_dim": 63}, "features of a node: in_dim=64, and the data has in_dim=63"),
    ("gatv2", {"in_dim": 7}, "features of a node: in_dim=6, and the data has in_dim=7"),
    ("han", {"in_dim": 7}, "features of a node: in_dim=6"),
    ("han", {"in_dim": 6, "metadata": {"metapaths": [["paper", "pap", "paper"]]}}, "other paths between its nodes: metadata="),
    ("rgat", {"in_dim": 8285, "num_nodes": 8285, "num_relations": 91}, "kinds of edges: num_relations=90"),
    ("rgat", {"in_dim": 8285, "num_nodes": 8284, "num_relations": 90}, "knows by number: num_nodes=8285"),
    ("gpt", {"vocab_size": 26}, "a smaller vocabulary: vocab_size=25, and the data has vocab_size=26"),
    ("llama", {"vocab_size": 300}, "vocab_size=270"),
    ("bert", {"vocab_size": 300, "num_classes": 3}, "vocab_size=70"),
    ("patchtst", {"past_covariates": 1}, "exogenous columns: past_covariates=0, and the data has past_covariates=1"),
    ("informer", {"static_categories": (3,)}, "exogenous columns: static_categories="),
]  # fmt: skip


def facts_of(name, facts):
    return {**SERIES, **facts} if "lookback" in CONFIGS[name] else facts


@pytest.mark.parametrize("name, facts, changed", ADAPTS, ids=[f"{name}-{'-'.join(facts)}" for name, facts, _ in ADAPTS])
def test_b1_what_adapts_is_listed(name, facts, changed):
    facts = facts_of(name, facts)
    model, changes = initialise(CONFIGS[name], str(OLD / name), facts)
    assert all(str(change) and any(change.name.startswith(f"{part}.") for part in changed) for change in changes)
    assert {part for part in changed if any(change.name.startswith(f"{part}.") for change in changes)} == changed
    was, told = zoo.load(OLD / name).state_dict(), {change.name for change in changes}
    for key, tensor in model.state_dict().items():
        assert key in told or torch.equal(tensor, was[key]), key
    for key in ("num_classes", "horizon", "channels", "lookback"):
        assert key not in facts or key not in model.config or model.config[key] == facts[key]


@pytest.mark.parametrize("name, facts, said", REFUSED, ids=[f"{name}-{list(facts)[-1]}" for name, facts, _ in REFUSED])
def test_b1_what_cannot_adapt_is_refused_by_its_name(name, facts, said):
    with pytest.raises(ZooError) as caught:
        initialise(CONFIGS[name], str(OLD / name), facts_of(name, facts))
    assert said in str(caught.value) and "take such data, or train anew" in str(caught.value)


def test_b1_fewer_tokens_than_the_model_knows_are_fine():
    """Released models leave room for more."""
    assert initialise(CONFIGS["gpt"], str(OLD / "gpt"), {"vocab_size": 20})[1] == []


def test_b1_weights_of_nodes_begin_a_classifier_of_graphs():
    """The readout is the task's; the last layer, whose outputs were classes, begins anew, and a head comes behind it."""
    given = {**CONFIGS["gatv2"], "readout": "mean"}
    model, changes = initialise(given, str(OLD / "gatv2"), {"in_dim": 6, "num_classes": 2})
    assert model.pools and {change.name.split(".")[0] for change in changes} == {"layers", "head"}
    assert {change.name for change in changes} >= {"head.weight", "head.bias"}


def test_parts_that_the_command_line_leaves_alone_are_the_sources():
    """model=gat names the usual score and no position: those of the source stay."""
    usual = {"_target_": "zoo.attention.Position", "_partial_": True}
    score = {"_target_": "zoo.attention.GATScore", "_partial_": True}
    given = {**CONFIGS["gat"], "position": usual, "attention": {**CONFIGS["gat"]["attention"], "score": score}}
    for name in ("graph_transformer", "gatv2"):
        model, changes = initialise(given, str(OLD / name), {"in_dim": 6, "num_classes": 3})
        assert changes == [] and model.wants == zoo.load(OLD / name).wants


def test_b6_a_probe_trains_what_no_source_has_taught(tmp_path):
    """Channels that the weights never saw were read by maps that began at random, and stayed there."""
    config = CONFIGS["informer"]
    model, _ = initialise(config, str(OLD / "informer"), facts_of("informer", {"channels": 3}))
    task = Forecasting(model, {"_target_": "torch.optim.AdamW", "lr": 0.01}, finetune="linear_probe").train()
    learning = {name.rpartition(".")[0] for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert learning == {"proj", "embed.values", "decoder_embed.values"}
    assert {name for name, part in model.named_modules() if part.training} == learning and task.training
