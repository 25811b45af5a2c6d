"""Contract 7: every yaml composes, instantiates and trains one step. Found by their place, so a new one is tested."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import zoo
from tests.training.compose import compose, fit
from zoo.config import check, instantiate, plain
from zoo.errors import ZooError
from zoo.training.parts import check_config, fill

CONF = Path(__file__).resolve().parents[1] / "conf"
SMALL = ("model=vit", "model.dim=16", "model.depth=1", "model.num_heads=2", "model.patch_size=2")
FACTS = {"num_classes": 3, "img_size": 8, "in_chans": 1}
#: what a choice needs beside itself
WITH = {"kernel=linear": ("score=linear",)}
#: the kernels that a CPU has not, and what they say
REFUSED = {"kernel=flex": "flex.*CUDA"}


def choices(*groups: str) -> list[str]:
    return [f"{group}={path.stem}" for group in groups for path in sorted((CONF / group).glob("*.yaml"))]


def one_step(config: dict) -> None:
    """A step of SGD on random images moves every parameter that has a gradient, and all outputs are finite."""
    torch.manual_seed(0)
    model = zoo.build(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss = F.cross_entropy(model(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert not parameter.grad.any() or not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("choice", choices("score", "pattern", "position", "kernel"))
def test_every_word_of_the_sentence_trains(choice):
    config = plain(compose(*SMALL, choice, *WITH.get(choice, ())))
    check_config(config)
    model = fill(config["model"], FACTS)
    if choice in REFUSED and not torch.cuda.is_available():
        with pytest.raises(ZooError, match=REFUSED[choice]):
            one_step(model)
    else:
        one_step(model)


@pytest.mark.parametrize("choice", choices("experiment"))
def test_every_experiment_builds(choice):
    config = plain(compose(choice, "trainer.accelerator=cpu"))
    check(config)
    check_config(config)
    data = instantiate(config["data"])
    facts = {"num_classes": 10, "img_size": 8 if "digits" in choice else 32, "in_chans": 3}
    task = instantiate(config["task"], model=fill(config["model"], facts))
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
