"""Contract 7: every yaml composes, instantiates and trains one step. Found by their place, so a new one is tested."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import zoo
from tests.training.compose import compose, fit
from zoo.config import check, instantiate, locate, plain
from zoo.errors import ZooError
from zoo.models.fit import check_reads
from zoo.models.fit import fit as fit_model
from zoo.spec import (
    CaptionSpec,
    GraphSpec,
    HeterogeneousGraphSpec,
    ImageSpec,
    PairSpec,
    RelationalGraphSpec,
    SeriesSpec,
    TextSpec,
)
from zoo.tasks.fit import fit as fit_all
from zoo.training.checks import check_config

CONF = Path(__file__).resolve().parents[1] / "conf"
SMALL = ("model=vit", "model.dim=16", "model.depth=1", "model.num_heads=2", "model.patch_size=2")
CLASSES = ("a", "b", "c")
IMAGES = ImageSpec(classes=CLASSES, img_size=8, in_chans=1)
#: what a choice needs beside itself
WITH = {
    "kernel=linear": ("score=linear",),
    "kernel=lsh": ("pattern=lsh",),
    "kernel=probsparse": ("pattern=probsparse",),
}
#: the kernels that know neither a class token in front nor padding, and say so
PLAIN = {"kernel=lsh", "kernel=probsparse"}
#: the kernels that a CPU has not, and what they say
REFUSED = {"kernel=flex": "flex.*CUDA", "kernel=edge_fused": "edge_fused.*CUDA"}
#: what is for graphs, and needs a model of them
ON_GRAPHS = {
    "pattern=edges", "position=laplacian", "position=random_walk", "position=shortest_path", "kernel=edge_list",
    "kernel=edge_fused",
}  # fmt: skip
GRAPH_SMALL = ("model=gat", "model.head_dim=4", "model.num_heads=2", "pattern=edges")
METADATA = {"target": "paper", "metapaths": [["paper", "pap", "paper"], ["paper", "psp", "paper"]]}  # ACM's
GRAPH = GraphSpec(classes=CLASSES, in_dim=5)
SPECS = {
    "image": IMAGES,
    "graph": GRAPH,
    "relational_graph": RelationalGraphSpec(classes=CLASSES, in_dim=5, num_relations=2),
    "heterogeneous_graph": HeterogeneousGraphSpec(classes=CLASSES, in_dim=5, metadata=METADATA),
    "text": TextSpec(classes=CLASSES, vocab_size=11, context=12),
    "series": SeriesSpec(channels=2, lookback=96, horizon=24, time_features=4, names=("a", "b")),
    "pairs": PairSpec(source_vocab=11, target_vocab=11),
    "captions": CaptionSpec(target_vocab=11, img_size=8, in_chans=1),
}


def choices(*groups: str) -> list[str]:
    return [f"{group}={path.stem}" for group in groups for path in sorted((CONF / group).glob("*.yaml"))]


def images() -> tuple:
    return (torch.randn(4, 1, 8, 8),), torch.tensor([0, 1, 2, 0])


def ring(position: str = "") -> tuple:
    """Six nodes in a ring, with the coordinates that a position asks for."""
    node = torch.arange(6)
    away = (node - node[:, None]).abs()
    pos = {"position=laplacian": torch.randn(6, 8), "position=random_walk": torch.rand(6, 16)}
    pos["position=shortest_path"] = torch.minimum(away, 6 - away)
    edges = torch.stack([node, (node + 1) % 6])
    return (torch.randn(6, 5), torch.cat([edges, edges.flip(0)], 1), None, pos.get(position)), torch.arange(6) % 3


def one_step(config: dict, inputs: tuple, labels: torch.Tensor) -> None:
    """A step of SGD on random inputs moves every parameter that has a gradient, and all outputs are finite."""
    torch.manual_seed(0)
    model = zoo.build(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss = F.cross_entropy(model(*inputs), labels)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert not parameter.grad.any() or not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("choice", choices("score", "pattern", "position", "kernel"))
def test_every_word_of_the_sentence_trains(choice):
    graph = choice in ON_GRAPHS
    without_token = ("model.class_token=false", "model.pool=mean") if choice in PLAIN else ()
    config = plain(compose(*(GRAPH_SMALL if graph else SMALL), choice, *WITH.get(choice, ()), *without_token))
    check_config(config)
    model = fit_model(config["model"], GRAPH if graph else IMAGES, 3)
    inputs = ring(choice) if graph else images()
    if choice in REFUSED and not torch.cuda.is_available():
        with pytest.raises(ZooError, match=REFUSED[choice]):
            one_step(model, *inputs)
    else:
        one_step(model, *inputs)


#: what is for a picture's rows and columns
ON_GRIDS = {"pattern=window_2d", "position=learned_2d", "position=sincos_2d", "position=axial_rope"}
LANGUAGE = ("model.dim=16", "model.depth=1", "model.num_heads=2", "model.attn_dropout=0")


@pytest.mark.parametrize("choice", choices("score", "pattern", "position", "kernel"))
@pytest.mark.parametrize("name", ["gpt", "llama", "bert"])
def test_every_word_of_the_sentence_trains_on_text(name, choice):
    """A pattern is AND-ed to Causal() where the model is causal; what is for images or graphs is refused before data load."""
    config = plain(compose(f"model={name}", *LANGUAGE, choice, *WITH.get(choice, ())))
    check_config(config)
    if choice in ON_GRIDS or choice in ON_GRAPHS - {"kernel=edge_list", "kernel=edge_fused"}:
        with pytest.raises(ZooError, match=r"is for (images|graphs).*, and the data holds text"):
            check_reads(config["model"], ("text",), "the data")
        return
    model = fit_model(config["model"], SPECS["text"], 0)
    ids, mask = torch.randint(11, (2, 9)), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    given = None if choice in {"kernel=linear", *PLAIN} else mask  # they know no padding, and say so
    if choice.startswith("kernel=edge") or (choice in REFUSED and not torch.cuda.is_available()):
        with pytest.raises(ZooError, match="CUDA" if choice == "kernel=flex" else "no list of edges"):
            zoo.build(model)(ids, mask)
        return
    made = zoo.build(model)
    loss = F.cross_entropy(made(ids, given)[mask], ids[mask])
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize("choice", choices("score"))
def test_every_score_trains_on_a_graph(choice):
    config = plain(compose(*GRAPH_SMALL, choice))
    if choice == "score=local_p":  # nodes have no order
        with pytest.raises(ZooError, match=r"LocalP is for images.*, and the data holds graphs"):
            check_reads(config["model"], ("graph",), "the data")
        return
    one_step(fit_model(config["model"], GRAPH, 3), *ring())


@pytest.mark.parametrize("model", ["gat", "gatv2", "graph_transformer", "rgat", "han"])
def test_every_model_of_graphs_trains(model):
    given = plain(compose(f"model={model}", "model.head_dim=4", "model.num_heads=2"))["model"]
    config = fit_model(given, SPECS[locate(given["_target_"]).reads[0]], 3)
    (x, edges, _, _), labels = ring()
    inputs = {"rgat": (x, edges, torch.arange(12) % 2), "han": (x, [edges, edges.flip(0)])}.get(model, (x, edges))
    one_step(config, inputs, labels)


@pytest.mark.parametrize("choice", choices("experiment"))
def test_every_experiment_builds(choice):
    config = plain(compose(choice, "trainer.accelerator=cpu"))
    check(config)
    check_config(config)
    data = instantiate(config["data"])
    spec, learns = SPECS[data.modality], locate(config["task"]["_target_"]).learns
    spec = spec if spec.targets in learns else replace(spec, targets=learns[0])  # tags, spans
    check_reads(config["model"], data.modalities)
    config = fit_all(config, spec)
    task = instantiate(config["task"], model=config["model"])
    assert sum(parameter.numel() for parameter in task.parameters()) > 0 and data.batch_size > 0


def test_a_recipe_of_everything_trains(tmp_path):
    """What people train ViTs with, all at once, from the command line's words."""
    trainer = fit(
        tmp_path,
        "callbacks=ema",
        "callbacks.figures=null",
        "task.mixing={_target_:zoo.tasks.mixing.Mixing,mixup:0.8,cutmix:1.0}",
        "data.augment.randaugment={n:1,m:5}",
        "trainer.accumulate_grad_batches=2",
        "task.grad_checkpointing=true",
        "task.layer_decay=0.75",
        "model.drop_path=0.1",
        "trainer.precision=bf16-mixed",
        "data.batch_size=7",  # odd batches mix too
        "++trainer.limit_train_batches=4",
        "++trainer.limit_val_batches=2",
    )
    ema, task = next(c for c in trainer.callbacks if type(c).__name__ == "EMA"), trainer.lightning_module
    assert trainer.global_step == 2  # four batches, two a step
    assert ema.started and int(ema._average_model.n_averaged) == 2
    assert task.model.grad_checkpointing and task.mixing is not None
    assert {group["lr_scale"] for group in trainer.optimizers[0].param_groups} == {1.0, 0.75, 0.75**2}
    assert trainer.callback_metrics["val/loss"].isfinite()
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["grad_checkpointing"] and "train_steps" not in saved
    for name, value in task.state_dict().items():  # the average is left in the model, and is what is saved
        torch.testing.assert_close(saved["state_dict"][name], value)
