"""Compose and run in this process, without the command's start-up."""

from contextlib import suppress
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from tests.training.conftest import ROOT, TINY
from zoo.config import instantiate, plain
from zoo.training import folders, parts

folders.register()


def compose(*overrides: str, run: Path | str = "run") -> DictConfig:
    """The config as Hydra composes it."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("train", [f"paths.run={run}", *overrides])


def fit(folder: Path, *overrides: str, extra=(), checkpoint=None, stop_with=()):
    """Train as train.py does, with `extra` callbacks; returns the trainer."""
    config = plain(compose(*TINY[:-1], "callbacks=none", *overrides, run=folder))
    parts.check_config(config)
    parts.prepare_process(config)
    data = instantiate(config["data"])
    data.setup()
    task = instantiate(config["task"], model=parts.fill(config["model"], data.facts))
    callbacks, _ = parts.make_callbacks(config, "0" * 12, folder, data)
    trainer = parts.make_trainer(
        config["trainer"], [*callbacks, *extra], parts.make_each("logger", config.get("logger"))
    )
    with suppress(stop_with):
        trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    torch.set_grad_enabled(True)
    return trainer
