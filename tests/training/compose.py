"""Compose and run in this process, without the command's start-up."""

from contextlib import suppress
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from tests.training.conftest import ROOT, TINY
from zoo.conf import quoted, ready
from zoo.training import folders
from zoo.training.run import train

folders.register()


def compose(*overrides: str, run: Path | str = "run") -> DictConfig:
    """The config as Hydra composes it."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("train", [f"paths.run={run}", *ready(overrides)])


def fit(folder: Path, *overrides: str, extra=(), checkpoint=None, stop_with=()):
    """Train as train.py does, with `extra` callbacks; returns the trainer, or None where `stop_with` stopped it."""
    given = () if checkpoint is None else (f"ckpt_path={quoted(checkpoint)}",)
    config = compose(*TINY[:-1], "callbacks=none", "test=false", *overrides, *given, run=folder)
    try:
        with suppress(stop_with):
            return train(config, folder, watch=extra).trainer
    finally:
        torch.set_grad_enabled(True)
